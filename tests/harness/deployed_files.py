"""The files in deploy/, parsed: the rules of Prometheus, their tests, and Grafana's dashboards."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
GRAFANA = DEPLOY / "grafana"
RULES = PROMETHEUS / "rules.yml"
TESTS_OF_RULES = PROMETHEUS / "rules_test.yml"


def files() -> list[Path]:
    """Every file of YAML or JSON."""
    return sorted(path for path in DEPLOY.rglob("*") if path.suffix in {".yml", ".yaml", ".json"})


def content(path: Path) -> Any:  # noqa: ANN401 - YAML or JSON
    """What is in a file, parsed."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def mappings(node: object) -> Iterator[Mapping[str, object]]:
    """Every mapping in the content of a file."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(child)


def rules() -> list[dict[str, Any]]:
    """Every rule, recording rules and alerts."""
    return [rule for group in content(RULES)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for rule in rules() if "alert" in rule]


def rule_tests() -> list[dict[str, Any]]:
    """Every unit test of an alert: its name, the time, and the alerts that are expected then."""
    return [test for group in content(TESTS_OF_RULES)["tests"] for test in group["alert_rule_test"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {path.name: content(path) for path in sorted(GRAFANA.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """What the panels of a dashboard ask for, with Grafana's variables replaced by values."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield (
                target["expr"]
                .replace("$__rate_interval", "1m")
                .replace("$__range", "3h")
                .replace("$subscription", "other")
            )
