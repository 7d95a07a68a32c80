"""What Prometheus itself says about the files in deploy/ and about the names of the metrics.

Oracle: promtool of the system's Prometheus. Only the expressions of the dashboards are put into a file made here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest

from tests.harness.deployed_files import PROMETHEUS, RULES, TESTS_OF_RULES, alerts, dashboards, expressions
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
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in document["groups"]:
        group["rules"] = [{key: value for key, value in rule.items() if key != "for"} for rule in group["rules"]]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (tmp_path / "rules_test.yml").write_text(TESTS_OF_RULES.read_text(encoding="utf-8"), encoding="utf-8")
    tested = promtool("test", "rules", tmp_path / "rules_test.yml")
    assert set(re.findall(r"alertname: (\w+)", tested.stdout)) == {one["alert"] for one in alerts() if "for" in one}


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
