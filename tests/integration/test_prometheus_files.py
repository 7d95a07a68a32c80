"""What Prometheus itself says about the files in deploy/ and about the names of the metrics.

Oracle: promtool of the system's Prometheus. Only the expressions of the dashboards are put into a file made here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest

from tests.harness.deployed_files import (
    PROMETHEUS,
    RULES,
    TESTS_OF_RULES,
    alerts,
    content,
    dashboards,
    expressions,
    rules,
)
from tests.harness.promtool import promtool
from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import EVERY, Counter, Gauge, Histogram, Sampled
from webhookd.metrics.exposition import Exposition
from webhookd.metrics.samples import HistogramValue, Sample


def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0, checked.stdout


def test_promtool_accepts_the_configuration() -> None:
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout
    assert "rules.yml" in checked.stdout


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    tested = promtool("test", "rules", TESTS_OF_RULES)
    assert tested.returncode == 0, tested.stdout


def test_tests_of_rules_notice_an_alert_that_does_not_wait(tmp_path: Path) -> None:
    hasty = [{key: value for key, value in rule.items() if key != "for"} for rule in rules()]
    files = [
        write_test(tmp_path / str(number), one, rules_for(one, hasty))
        for number, one in enumerate(content(TESTS_OF_RULES)["tests"])
    ]
    tested = promtool("test", "rules", *files)
    assert set(re.findall(r"alertname: (\w+)", tested.stdout)) == {one["alert"] for one in alerts() if "for" in one}


def rules_for(test: Mapping[str, Any], given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The alerts that a unit test names and the recording rules that they read.

    promtool evaluates each rule of the file for each minute; no other rule changes what it says about these alerts.
    """
    named = {one["alertname"] for one in test["alert_rule_test"]}
    kept = [rule for rule in given if rule.get("alert") in named]
    for rule in reversed(given):  # what a recording rule reads stands before it
        if "record" in rule and any(rule["record"] in other["expr"] for other in kept):
            kept.insert(0, rule)
    return kept


def write_test(folder: Path, test: Mapping[str, Any], evaluated: Sequence[Mapping[str, Any]]) -> Path:
    """Write a file with this unit test alone, and one with the rules that it evaluates; return the first."""
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": evaluated}]}), "utf-8")
    file = folder / "rules_test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}), "utf-8"
    )
    return file


@pytest.mark.parametrize(("name", "dashboard"), dashboards().items())
def test_promtool_parses_each_expression_of_a_dashboard(tmp_path: Path, name: str, dashboard: dict[str, Any]) -> None:
    asked = list(expressions(dashboard))
    rules = [{"record": f"panel:expression_{number}:asked", "expr": text} for number, text in enumerate(asked)]
    path = tmp_path / f"{name}.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}), encoding="utf-8")
    checked = promtool("check", "rules", "--lint=none", path)
    assert checked.returncode == 0, checked.stdout
    assert f"{len(asked)} rules found" in checked.stdout


def examples() -> Iterator[Sample]:
    """Give every metric a value: promtool says nothing about one without series."""
    for metric in METRICS:
        labels = ("example",) * len(metric.labels)
        match metric:
            case Counter():
                metric.inc(*labels)
            case Gauge():
                metric.set(1.0, *labels)
            case Histogram():
                metric.observe(1.0, *labels)
            case Sampled(kind="histogram"):
                yield Sample(metric, labels, HistogramValue((0,) * (len(metric.buckets) + 1), 0.0))
            case Sampled():
                yield Sample(metric, labels, 1.0)


def test_promtool_accepts_the_names_of_the_metrics() -> None:
    exposition = Exposition(EVERY, lambda error: pytest.fail(str(error)))
    try:
        exposition.add_source(lambda: list(examples()))
        generate_latest(exposition.registry)  # fills the recorded metrics, too
        served = generate_latest(exposition.registry).decode()
    finally:
        exposition.close()
    series = {line.partition("{")[0].partition(" ")[0] for line in served.splitlines() if not line.startswith("#")}
    assert {f"{one.name}_sum" if one.kind == "histogram" else one.name for one in METRICS} <= series
    checked = promtool("check", "metrics", text=served)
    assert [line for line in checked.stdout.splitlines() if line.startswith("webhookd_")] == []
