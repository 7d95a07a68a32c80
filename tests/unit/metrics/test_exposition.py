"""The samples of sources reach Prometheus as prometheus-client writes them; one that fails hides no other.

Oracle: prometheus-client's parser of its own text format.
"""

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from webhookd.metrics.catalogue.ingest import DELIVERIES_IN_FLIGHT, LEASES_EXPIRED
from webhookd.metrics.catalogue.worker import ATTEMPT_DURATION, ATTEMPTS
from webhookd.metrics.declaration import EVERY, Process
from webhookd.metrics.exposition import Exposition
from webhookd.metrics.samples import Sample
from webhookd.metrics.tally import CounterTally, HistogramTally


@pytest.fixture
def errors() -> list[Exception]:
    return []


@pytest.fixture
def exposition(errors: list[Exception]) -> Iterator[Exposition]:
    made = Exposition(EVERY, errors.append)
    yield made
    made.close()


def values(exposition: Exposition, name: str) -> dict[str, float]:
    """The series of a name, by their labels as text."""
    text = generate_latest(exposition.registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {",".join(sample.labels.values()): sample.value for sample in samples if sample.name == name}


def test_tallies_are_served(exposition: Exposition) -> None:
    attempts, durations = CounterTally(ATTEMPTS), HistogramTally(ATTEMPT_DURATION)
    exposition.add_source(attempts.samples)
    exposition.add_source(durations.samples)
    attempts.add("acknowledged", 3)
    attempts.add("timeout")
    durations.observe(0.001, 2)
    durations.observe(0.002)
    durations.observe(100.0)
    assert values(exposition, "webhookd_attempts_total") == {"acknowledged": 3, "timeout": 1}
    buckets = values(exposition, "webhookd_attempt_duration_seconds_bucket")
    assert (buckets["0.001"], buckets["0.0025"], buckets["60.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert values(exposition, "webhookd_attempt_duration_seconds_count") == {"": 4}
    assert values(exposition, "webhookd_attempt_duration_seconds_sum")[""] == pytest.approx(100.004)


def test_the_samples_of_two_sources_are_one_family(exposition: Exposition) -> None:
    exposition.add_source(lambda: [Sample(DELIVERIES_IN_FLIGHT, ("queued",), 2)])
    exposition.add_source(lambda: [Sample(DELIVERIES_IN_FLIGHT, ("claimed",), 5)])
    assert values(exposition, "webhookd_deliveries_in_flight") == {"queued": 2, "claimed": 5}


def test_a_source_that_fails_hides_no_other(exposition: Exposition, errors: list[Exception]) -> None:
    def broken() -> list[Sample]:
        raise RuntimeError("broken")

    exposition.add_source(broken)
    exposition.add_source(lambda: [Sample(DELIVERIES_IN_FLIGHT, ("queued",), 2)])
    assert values(exposition, "webhookd_deliveries_in_flight") == {"queued": 2}
    assert [str(error) for error in errors] == ["broken"]


def test_a_process_serves_its_own_metrics_only() -> None:
    exposition = Exposition(frozenset({Process.WORKER}), lambda _error: None)
    names = {family.name for family in exposition.registry.collect()}
    exposition.close()
    assert "webhookd_attempts" in names
    assert "webhookd_leases_expired" not in names
    assert {"process_cpu_seconds", "python_gc_collections"} <= names


def test_after_close_nothing_counts(exposition: Exposition) -> None:
    LEASES_EXPIRED.inc()
    exposition.close()
    LEASES_EXPIRED.inc()
    assert values(exposition, "webhookd_leases_expired_total") == {"": 1}
