"""Names of metrics follow Prometheus' rules, and a recorded metric counts from its binding on.

Oracle: https://prometheus.io/docs/practices/naming/, and prometheus-client's own exposition.
"""

import pytest
from prometheus_client import CollectorRegistry

from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import Counter, Gauge, Histogram, Metric, Recorded, Sampled

BASE_UNITS = ("seconds", "bytes", "records", "info", "timestamp_seconds")


@pytest.mark.parametrize("name", ["webhookd_Things_total", "things_total", "webhookd__total", "webhookd_things"])
def test_a_counter_with_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Counter(name, "Things.")


def test_only_a_counter_ends_with_total() -> None:
    with pytest.raises(ValueError, match="a counter, and nothing else"):
        Gauge("webhookd_things_total", "Things.")


def test_a_wrong_label_is_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        Counter("webhookd_things_total", "Things.", labels=("a-b",))


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in METRICS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_the_help_is_a_sentence(metric: Metric) -> None:
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", [one for one in METRICS if one.kind == "histogram"], ids=lambda one: str(one.name))
def test_the_buckets_of_a_histogram_are_in_order_and_its_name_has_the_unit(metric: Histogram | Sampled) -> None:
    assert metric.buckets
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.name.endswith(BASE_UNITS)


def test_a_change_before_the_binding_is_lost_and_one_after_it_counts() -> None:
    counter, registry = Counter("webhookd_things_total", "Things.", labels=("kind",)), CollectorRegistry()
    counter.inc("early")
    counter.bind(registry)
    counter.inc("late")
    counter.inc("late", by=2)
    assert registry.get_sample_value("webhookd_things_total", {"kind": "early"}) is None
    assert registry.get_sample_value("webhookd_things_total", {"kind": "late"}) == 3


class UnboundMeanwhile(Recorded):
    """Another thread unbinds the metric as soon as a change has begun."""

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name == "_live":
            self.unbind()
        return value


class UnboundCounter(UnboundMeanwhile, Counter):
    """A counter."""


class UnboundGauge(UnboundMeanwhile, Gauge):
    """A gauge."""


class UnboundHistogram(UnboundMeanwhile, Histogram):
    """A histogram."""


@pytest.mark.parametrize("labels", [(), ("a",)])
def test_a_metric_may_be_unbound_while_it_is_changed(labels: tuple[str, ...]) -> None:
    registry, kinds = CollectorRegistry(), ("kind",) * len(labels)
    counter = UnboundCounter("webhookd_things_total", "Things.", labels=kinds)
    level = UnboundGauge("webhookd_level", "Level.", labels=kinds)
    depth = UnboundGauge("webhookd_depth", "Depth.", labels=kinds)
    wait = UnboundHistogram("webhookd_wait_seconds", "Wait.", buckets=(1.0,), labels=kinds)
    for metric in (counter, level, depth, wait):
        metric.bind(registry)
    counter.inc(*labels)
    level.set(1.0, *labels)
    depth.inc(*labels)
    wait.observe(1.0, *labels)
    names = ("webhookd_things_total", "webhookd_level", "webhookd_depth", "webhookd_wait_seconds_count")
    found = [registry.get_sample_value(name, dict(zip(kinds, labels, strict=True))) for name in names]
    assert found == [1.0] * 4


def test_an_unbound_metric_does_nothing() -> None:
    registry = CollectorRegistry()
    metrics: list[Recorded] = [
        gauge := Gauge("webhookd_level", "Level."),
        histogram := Histogram("webhookd_wait_seconds", "Wait.", buckets=(1.0,)),
    ]
    for metric in metrics:
        metric.bind(registry)
    gauge.set(2.0)
    histogram.observe(0.5)
    for metric in metrics:
        metric.unbind()
    gauge.set(3.0)
    gauge.inc()
    histogram.observe(0.5)
    assert registry.get_sample_value("webhookd_level") == 2.0
    assert registry.get_sample_value("webhookd_wait_seconds_count") == 1
