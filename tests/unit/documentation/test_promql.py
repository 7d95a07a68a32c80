"""Series and labels are found in expressions as people and Grafana write them."""

import pytest

from tests.harness.promql import read


@pytest.mark.parametrize(
    ("expression", "series"),
    [
        ("sum(rate(webhookd_records_read_total[5m]))", {"webhookd_records_read_total"}),
        ("webhookd:lag:max > 300 and on () up", {"webhookd:lag:max"}),
        ('label_replace(up, "a", "webhookd_x_total", "b", ".*")', set()),
        ("subscription:webhookd_lag_seconds:max offset 30m", {"subscription:webhookd_lag_seconds:max"}),
        ("process_resident_memory_bytes", set()),
        ("label_values(webhookd_lag_records, subscription)", {"webhookd_lag_records"}),
    ],
)
def test_series(expression: str, series: set[str]) -> None:
    assert read(expression).series == series


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ('webhookd_a{x="1", y=~"a{2},z=1", z!~\'}\'}', {"x": {"1"}, "y": {"a{2},z=1"}, "z": {"}"}}),
        ('webhookd_a{x=~"a|b"} / webhookd_a{x!="c", y=""}', {"x": {"a", "b", "c"}, "y": {""}}),
        ('webhookd_a{x="${subscription:regex}"}[$__rate_interval]', {"x": {"variable"}}),
        ("webhookd_a", {}),
        ("webhookd_a == bool on (c) webhookd_b", {}),
    ],
)
def test_matched_labels_and_values(expression: str, labels: dict[str, set[str]]) -> None:
    assert read(expression).matched["webhookd_a"] == labels


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("sum by (x, y) (rate(webhookd_a[5m]))", {"x", "y"}),
        ("sum(webhookd_a) without (x)", {"x"}),
        ("webhookd_a * on (x) group_left (y) webhookd_b", {"x", "y"}),
        ("label_values(webhookd_a, x)", {"x"}),
        ("webhookd_a and on () webhookd_b", set()),
    ],
)
def test_grouped_labels(expression: str, labels: set[str]) -> None:
    assert read(expression).grouped == labels
