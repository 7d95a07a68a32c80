"""What is counted of a call: its duration always, its error if the service has failed."""

import pytest

from tests.harness.metrics import LiveMetrics, exposed
from webhookd.errors import (
    Conflict,
    KafkaAuthenticationFailed,
    NotFound,
    QueueUnavailable,
    SchemaMismatch,
    StoreUnavailable,
    TopicDenied,
)
from webhookd.metrics.service_calls import DATABASE, KAFKA, REDIS, MeasuredCall, Service, call_failed, measured

ERRORS = "webhookd_call_errors_total"
COUNT = "webhookd_call_duration_seconds_count"


def raising(service: Service, error: Exception, library: tuple[type[BaseException], ...] = ()) -> None:
    @measured(service, "asked", library)
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        fail()


def test_call_that_succeeds_has_a_duration_and_its_result(live_metrics: LiveMetrics) -> None:
    @measured(REDIS, "claim")
    def double(number: int, *, twice: bool = False) -> int:
        return number * (4 if twice else 2)

    assert (double(1), double(1, twice=True), double.__name__) == (2, 4, "double")
    seen = live_metrics.read()
    assert seen.value(COUNT, service="redis", operation="claim") == 2
    assert seen.series(ERRORS) == []


@pytest.mark.parametrize(
    ("service", "error", "code"),
    [
        (REDIS, QueueUnavailable(), "queue_unavailable"),
        (DATABASE, StoreUnavailable(), "store_unavailable"),
        (DATABASE, SchemaMismatch(), "schema_mismatch"),
        (KAFKA, KafkaAuthenticationFailed(), "kafka_authentication_failed"),
        (KAFKA, TopicDenied("orders"), "topic_denied"),
    ],
)
def test_failure_of_the_service_is_counted_by_its_code(
    live_metrics: LiveMetrics, service: Service, error: Exception, code: str
) -> None:
    raising(service, error)
    seen = live_metrics.read()
    assert seen.value(ERRORS, service=service.name, operation="asked", code=code) == 1
    assert seen.value(COUNT, service=service.name, operation="asked") == 1


@pytest.mark.parametrize(
    ("service", "error"),
    [
        (DATABASE, NotFound()),  # the caller's
        (DATABASE, QueueUnavailable()),  # of another service, which was called within a transaction
        (KAFKA, Conflict()),  # the group has members
        (REDIS, LookupError()),
    ],
)
def test_other_error_is_no_failure_of_the_service(
    live_metrics: LiveMetrics, service: Service, error: Exception
) -> None:
    raising(service, error)
    seen = live_metrics.read()
    assert seen.series(ERRORS) == []
    assert seen.value(COUNT, service=service.name, operation="asked") == 1


def test_error_of_a_library_has_the_code_of_the_service(live_metrics: LiveMetrics) -> None:
    raising(REDIS, ConnectionError(), (OSError,))
    assert live_metrics.read().value(ERRORS, service="redis", operation="asked", code="queue_unavailable") == 1


def test_call_that_waits_has_no_duration_but_its_failures(live_metrics: LiveMetrics) -> None:
    with MeasuredCall(REDIS, "read", waits=True):
        pass
    with pytest.raises(QueueUnavailable), MeasuredCall(REDIS, "read", waits=True):
        raise QueueUnavailable
    seen = live_metrics.read()
    assert seen.series(COUNT) == []
    assert seen.value(ERRORS, operation="read", code="queue_unavailable") == 1


def test_failure_without_an_error_is_counted(live_metrics: LiveMetrics) -> None:
    call_failed(KAFKA, "produce")
    assert live_metrics.read().value(ERRORS, operation="produce", code="kafka_unavailable") == 1


def test_nothing_is_counted_while_metrics_are_off() -> None:
    raising(REDIS, QueueUnavailable())
    with exposed() as live:
        assert live.read().series(ERRORS) == []
