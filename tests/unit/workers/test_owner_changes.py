"""A subscription that its owner has changed starts without its old problems; one that only moved keeps them.

Oracle: docs/how-to/alerts.md, "Alerts after a change". Consumer and services are in the test's hand.
"""

from dataclasses import replace

import pytest

from tests.harness.subscription_consumers import GOOD, ZERO, Scene
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.endpoint_certificate import Validity
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.position import OffsetAndMetadata
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from workers.ingest.consumer import subscription_health

FAILED = SubscriptionStatus(
    subscription_id="s",
    health=Health.UNHEALTHY,
    reason="http_410",
    since=7.0,
    problems=(Problem(code="http_410", since=7.0),),
    last_failure="http_410: moved",
    delivered=5,
    version=1,
)


def test_changed_subscription_starts_without_old_problems() -> None:
    now = subscription_health.resumed("s", 3, FAILED, 50.0).status(())
    assert (now.health, now.reason, now.last_failure, now.since) == (Health.HEALTHY, "", "", 50.0)
    assert (now.version_delivered, now.version, now.delivered) == (False, 3, 5)


@pytest.mark.parametrize("version", [1, 0])
def test_restarted_process_keeps_the_problems(version: int) -> None:
    now = subscription_health.resumed("s", 1, replace(FAILED, version=version), 50.0).status(())
    assert (now.health, now.reason, now.since, now.version_delivered) == (Health.UNHEALTHY, "http_410", 7.0, True)


@pytest.mark.parametrize("reason", ["http_500", "topic_missing"])
def test_status_of_an_older_version_stays_unhealthy(reason: str) -> None:
    before = replace(FAILED, reason=reason, problems=(), version=0)
    started = subscription_health.resumed("s", 1, before, 50.0)
    now = started.status(())
    assert (now.health, now.reason, now.since) == (Health.UNHEALTHY, reason, 7.0)
    assert now.problems == (Problem(code=reason, since=7.0, standing=reason == "topic_missing"),)


def test_restart_before_the_first_delivery_after_a_change_is_noted() -> None:
    changed = subscription_health.resumed("s", 2, FAILED, 50.0).status(())
    assert subscription_health.resumed("s", 2, changed, 60.0).status(()).version_delivered is False


def test_usable_configuration_is_not_unhealthy_any_more() -> None:
    before = unhealthy(
        SubscriptionStatus(subscription_id="s", health=Health.HEALTHY), "unusable_configuration", "", 5.0, 1
    )
    assert subscription_health.resumed("s", 1, before, 50.0).status(()).health is Health.HEALTHY


def test_first_delivery_after_a_change_is_noted() -> None:
    scene = Scene(previous=replace(FAILED, version=99))
    before = scene.consumer.status().version_delivered
    scene.consumer.delivery_succeeded()
    assert (before, scene.consumer.status().version_delivered) == (False, True)


def test_reported_certificate_is_in_the_status_and_does_no_harm() -> None:
    scene = Scene()
    assert scene.consumer.status().endpoint_certificate is None
    scene.consumer.status_changed = False
    scene.consumer.certificate_seen(Validity(1.0, 5.0))
    now = scene.consumer.status()
    assert now.endpoint_certificate == EndpointCertificate(
        host="example.com", port=443, begins_at=1.0, expires_at=5.0, seen_at=scene.services.wall_clock()
    )
    assert (now.health, scene.consumer.status_changed) == (Health.HEALTHY, True)
    kept = Scene(previous=replace(now, version=99)).consumer.status().endpoint_certificate
    assert kept == now.endpoint_certificate


def test_lane_of_a_changed_subscription_gets_its_retries_back() -> None:
    scene = Scene(
        committed=OffsetAndMetadata(
            3, CommitMetadata(failed_attempts=5, worker_losses=2, failed_probes=4, failing_since=1.0, version=99)
        )
    )
    lane = scene.lane(ZERO)
    assert (lane.circuit.state, lane.failures, lane.worker_losses, lane.circuit.failing_since) == (
        CircuitState.CLOSED,
        0,
        2,
        0.0,
    )


def test_old_failure_does_not_make_a_changed_subscription_unhealthy() -> None:
    scene = Scene(
        committed=OffsetAndMetadata(3, CommitMetadata(failed_attempts=5, failing_since=1.0, version=99)),
        previous=replace(FAILED, version=99),
    )
    scene.services.now = 10_000.0
    scene.consumer.check()
    assert scene.consumer.status().health is Health.HEALTHY


def test_circuit_stays_open_in_another_process() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD)
    lane = scene.lane(ZERO)
    lane.circuit.state, lane.circuit.failed_probes, lane.failures = CircuitState.OPEN, 2, 4
    other = Scene(committed=lane.committable)
    assert (other.lane(ZERO).circuit.state, other.lane(ZERO).failures) == (CircuitState.OPEN, 4)


def test_lasting_failure_has_its_code_after_a_restart() -> None:
    scene = Scene(committed=OffsetAndMetadata(3, CommitMetadata(failed_attempts=5, failing_since=1.0)))
    scene.services.now = 10_000.0
    scene.consumer.check()
    before = scene.consumer.status()
    scene.consumer.exchange_failed(LoggedExchange(5.0, "id", 500, b"", b"no", "http_500"))
    scene.consumer.check()
    assert (before.reason, scene.consumer.status().reason) == ("", "http_500")
