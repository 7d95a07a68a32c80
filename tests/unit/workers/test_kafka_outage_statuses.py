"""The status of a subscription while Kafka does not answer the process that runs it."""

from dataclasses import replace

from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import GOOD, ONE, ZERO, Scene
from tests.harness.subscriptions import subscription
from webhookd.flow.monitoring.kafka_reachability import REFUSAL_LASTS_S, KafkaReachability
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from workers.ingest.monitoring import kafka_outage_statuses
from workers.ingest.monitoring.kafka_outage_statuses import UNHEALTHY_AFTER_S

BOUND_S = 15.0
LOST = KafkaReachability().answered(0.0).failed(100.0, "timed out")


def shown(scene: Scene, reachability: KafkaReachability, now: float) -> SubscriptionStatus:
    scene.services.now = now
    kafka_outage_statuses.update_problem([scene.consumer], reachability, now, BOUND_S)
    scene.consumer.check()
    return scene.consumer.status()


def ends(scene: Scene, partition: Partition) -> None:
    """An empty partition is read to its end."""
    scene.kafka_consumer.listener.end_reached(partition, 0)
    scene.reads(partition)


def test_short_outage_changes_no_status() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD)
    ends(scene, ONE)
    scene.kafka_consumer.last = 1
    found = shown(scene, LOST, 100.0 + BOUND_S - 1)
    assert (found.health, found.lag) == (Health.HEALTHY, 1)


def test_lag_is_unknown_before_the_status_is_unhealthy() -> None:
    found = shown(Scene(), LOST, 100.0 + BOUND_S)
    assert (found.health, found.lag) == (Health.HEALTHY, None)


def test_long_outage_is_a_problem_until_kafka_answers() -> None:
    scene = Scene()
    found = shown(scene, LOST, 100.0 + UNHEALTHY_AFTER_S)
    assert (found.health, found.reason, found.problems[0].detail) == (
        Health.UNHEALTHY,
        "kafka_unavailable",
        "timed out",
    )
    scene.services.now = 141.0
    scene.consumer.update_topics(Topics(partitions={TOPIC: 2}))
    ends(scene, ZERO)
    ends(scene, ONE)
    back = shown(scene, LOST.answered(140.0), 141.0)
    assert (back.health, back.problems, back.lag) == (Health.HEALTHY, (), 0)


def test_outage_that_becomes_a_refusal_changes_its_reason() -> None:
    scene, later = Scene(), 100.0 + UNHEALTHY_AFTER_S
    refused = LOST.failed(later, "wrong password", "kafka_authentication_failed")
    reasons = [
        shown(scene, state, later + after).problems for after, state in enumerate((LOST, refused, LOST, refused))
    ]
    assert [[problem.code for problem in problems] for problems in reasons] == [
        ["kafka_unavailable"],
        ["kafka_authentication_failed"],
    ] * 2
    assert reasons[1][0].detail == "wrong password"
    assert shown(scene, refused.answered(later + 9), later + 9).problems == ()


def test_refusal_stays_the_reason_through_a_single_timeout() -> None:
    refused = LOST.failed(101.0, "wrong password", "kafka_authentication_failed")
    late = refused.failed(101.0 + REFUSAL_LASTS_S - 1, "timed out")
    gone = late.failed(101.0 + REFUSAL_LASTS_S, "timed out")
    assert (late.code, late.detail, late.failing_since) == ("kafka_authentication_failed", "wrong password", 100.0)
    assert (gone.code, gone.detail, gone.failing_since) == ("kafka_unavailable", "timed out", 100.0)
    assert refused.answered(102.0).failed(103.0, "timed out").code == "kafka_unavailable"


def test_waiting_subscription_has_one_reason_for_the_outage() -> None:
    now = 100.0 + UNHEALTHY_AFTER_S
    refused = LOST.failed(now, "wrong password", "kafka_authentication_failed")
    first = kafka_outage_statuses.status_before_start(subscription(), None, LOST, now, 5.0)
    found = kafka_outage_statuses.status_before_start(subscription(), first, refused, now, 6.0)
    assert found is not None
    assert (found.reason, len(found.problems)) == ("kafka_authentication_failed", 1)


def test_lasting_outage_writes_its_status_once() -> None:
    scene = Scene()
    shown(scene, LOST, 100.0 + UNHEALTHY_AFTER_S)
    scene.consumer.status_changed = False
    shown(scene, LOST, 101.0 + UNHEALTHY_AFTER_S)
    assert scene.consumer.status_changed is False


def test_stored_problem_ends_when_kafka_answers() -> None:
    problem = Problem(code="kafka_unavailable", since=90.0, standing=True)
    before = SubscriptionStatus(
        subscription_id=subscription().id, health=Health.UNHEALTHY, reason=problem.code, problems=(problem,)
    )
    scene = Scene(previous=before)
    assert shown(scene, KafkaReachability(), 100.0).health is Health.UNHEALTHY
    assert shown(scene, KafkaReachability().answered(100.0), 101.0).health is Health.HEALTHY


def test_subscription_never_started_gets_one_status() -> None:
    never, now = KafkaReachability().failed(100.0, "refused"), 100.0 + UNHEALTHY_AFTER_S
    assert kafka_outage_statuses.status_before_start(subscription(), None, never, now - 1, 5.0) is None
    found = kafka_outage_statuses.status_before_start(subscription(), None, never, now, 5.0)
    assert found is not None
    assert (found.health, found.reason, found.lag, found.since) == (Health.UNHEALTHY, "kafka_unavailable", None, 5.0)
    assert found.problems == (Problem(code="kafka_unavailable", detail="refused", since=5.0, standing=True),)
    assert kafka_outage_statuses.status_before_start(subscription(), found, never, now + 1, 6.0) is None


def test_subscription_unhealthy_before_keeps_its_time() -> None:
    before = SubscriptionStatus(
        subscription_id=subscription().id, health=Health.UNHEALTHY, reason="http_500", since=1.0
    )
    delivery = Problem(code="http_500", since=1.0)
    found = kafka_outage_statuses.status_before_start(
        subscription(), replace(before, problems=(delivery,)), KafkaReachability().failed(0.0, ""), 99.0, 5.0
    )
    assert found is not None
    assert (found.since, [problem.code for problem in found.problems]) == (1.0, ["kafka_unavailable", "http_500"])
