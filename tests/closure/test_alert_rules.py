"""The alerts of deploy/prometheus/rules.yml: each has a severity, a runbook in the docs, and tests that it fires.

Oracle: the files themselves. Whether the tests of the rules pass is asked of promtool, in
tests/integration/test_prometheus_files.py.
"""

import re
from pathlib import Path

import pytest
import yaml

from tests.harness.deployed_files import RULES, TESTS_OF_RULES, alerts, rule_tests, rules

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = "docs/how-to/runbooks.md"
HEADINGS = re.findall(r"^## (.+)$", (ROOT / RUNBOOKS).read_text(encoding="utf-8"), flags=re.MULTILINE)
MONITOR = (ROOT / "docs" / "how-to" / "monitor.md").read_text(encoding="utf-8")
SEVERITIES = {"page", "ticket"}
ALERTS = {alert["alert"]: alert for alert in alerts()}

every_alert = pytest.mark.parametrize("name", ALERTS)


@every_alert
def test_alert_says_how_urgent_it_is_and_what_has_happened(name: str) -> None:
    assert ALERTS[name]["labels"]["severity"] in SEVERITIES
    annotations = ALERTS[name]["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in annotations.values())


@every_alert
def test_runbook_of_alert_is_a_section_of_the_docs(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"
    assert name in HEADINGS


@every_alert
def test_threshold_of_alert_is_explained(name: str) -> None:
    assert f"[{name}](runbooks.md#{name.lower()})" in MONITOR


@every_alert
def test_alert_is_tested_to_fire_and_not_to_fire(name: str) -> None:
    expected = [bool(test["exp_alerts"]) for test in rule_tests() if test["alertname"] == name]
    assert set(expected) == {True, False}


def test_each_runbook_and_each_test_has_an_alert() -> None:
    assert sorted(HEADINGS) == sorted(ALERTS)
    assert {test["alertname"] for test in rule_tests()} == set(ALERTS)
    assert set(re.findall(r"\(runbooks\.md#(\w+)\)", MONITOR)) == {name.lower() for name in ALERTS}


def test_tests_of_rules_name_every_group_with_the_recording_rules_first() -> None:
    """Promtool evaluates groups that are not named in any order, so that a test would pass now and then only."""
    groups = [group["name"] for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]]
    named = yaml.safe_load(TESTS_OF_RULES.read_text(encoding="utf-8"))["group_eval_order"]
    assert named == groups
    assert named[0] == "webhookd-recorded"


def test_each_alert_has_one_rule() -> None:
    assert len(ALERTS) == len(alerts())


def test_recording_rule_is_named_by_level_metric_and_operations() -> None:
    names = [rule["record"] for rule in rules() if "record" in rule]
    assert [name for name in names if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)] == []
