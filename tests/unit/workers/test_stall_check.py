"""A stall that lasts makes its subscription unhealthy, with the cause, until it is over.

Oracle: the table of states in docs/reference/statuses.md. The test controls the Kafka consumer, services and clock.
"""

import pytest

from tests.harness.consumer_events import ended, passes
from tests.harness.subscription_consumers import BAD, ONE, ZERO, Scene
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.undecodable_records import IN_A_ROW
from webhookd.flow.dispatch.delivery import DeliveryStage
from webhookd.flow.monitoring.subscription_stall import RESUMED_PROBLEM_KEPT_S, TOLERATED_S
from webhookd.flow.offsets.topic_metadata import Topics


def after(scene: Scene, wait_s: float) -> tuple[str, str]:
    """Reason and detail once that time has passed."""
    scene.consumer.check()
    scene.services.now += wait_s
    scene.consumer.check()
    problems = scene.consumer.status().problems
    return (problems[0].code, problems[0].detail) if problems else ("", "")


@pytest.mark.parametrize("wait_s", [1.0, 59.0])
def test_short_stall_is_no_problem(wait_s: float) -> None:
    scene = Scene()
    scene.lane(ZERO).position_known = False
    assert after(scene, wait_s) == ("", "")


def test_lasting_unknown_position_is_a_problem() -> None:
    scene = Scene()
    scene.kafka_consumer.broken = True
    scene.kafka_consumer.listener.position_required(ZERO)
    code, detail = after(scene, 61.0)
    scene.kafka_consumer.broken = False
    _, again = scene.services.later.pop()
    again()
    assert (code, "orders/0" in detail) == ("position_unknown", True)
    assert after(scene, 0.0) == ("", "")


def test_partitions_without_a_reader_are_a_problem() -> None:
    scene = Scene()
    scene.consumer.update_topics(Topics(partitions={"orders": 5}))
    assert after(scene, TOLERATED_S["not_assigned"]) == ("not_assigned", "orders: 3 partitions have no reader")


def test_deliveries_that_workers_keep_refusing_are_a_problem() -> None:
    scene = Scene()
    scene.consumer.stall_check.delivery_ended(ReportKind.STALE)
    scene.consumer.stall_check.delivery_ended(ReportKind.STARTED)
    refused = after(scene, 61.0)[0]
    scene.consumer.stall_check.delivery_ended(ReportKind.FINISHED)
    assert (refused, after(scene, 61.0)[0]) == ("deliveries_stale", "")


def test_dead_letters_that_are_not_stored_are_a_problem() -> None:
    scene = Scene()
    scene.reads(ZERO, BAD)
    code, detail = after(scene, 61.0)
    ((_, written),) = scene.services.dead_letters.written
    written()
    assert (code, "orders/0" in detail, after(scene, 61.0)) == ("dead_letters_waiting", True, ("", ""))


@pytest.mark.parametrize("code", sorted(TOLERATED_S))
def test_problem_of_the_process_before_ends_when_it_is_not_found(code: str) -> None:
    scene = Scene()
    scene.consumer.begin_problem(code, "of the process before", standing=True)
    early = after(scene, RESUMED_PROBLEM_KEPT_S[code] - 1.0)[0]
    assert (early, after(scene, 1.0)) == (code, ("", ""))


def test_lasting_problem_of_the_process_before_does_not_end_in_between() -> None:
    scene = Scene()
    scene.consumer.begin_problem("position_unknown", "of the process before", standing=True)
    after(scene, 0.0)
    scene.lane(ZERO).position_known = False
    after(scene, TOLERATED_S["position_unknown"])
    assert [activity.succeeded for activity in scene.services.activities] == [False]


def test_delivery_that_no_worker_claims_is_a_problem() -> None:
    scene = Scene()
    delivery = scene.mixed()
    delivery.claimable_at = scene.services.now
    scene.services.now += 11.0
    short = after(scene, 299.0)[0]
    named = after(scene, 1.0)[0]
    delivery.stage = DeliveryStage.CLAIMED
    assert (short, named, after(scene, 0.0)[0]) == ("", "deliveries_unclaimed", "")


def test_unreadable_secrets_are_a_problem_at_once_until_no_worker_says_so_for_a_while() -> None:
    scene = Scene()
    scene.consumer.stall_check.delivery_ended(ReportKind.UNREADABLE)
    begun = after(scene, 0.0)[0]
    waiting = after(scene, 600.0)[0]
    scene.consumer.stall_check.delivery_ended(ReportKind.UNREADABLE)
    scene.consumer.stall_check.delivery_ended(ReportKind.FINISHED)
    kept = after(scene, 29.0)[0]
    assert (begun, waiting, kept, after(scene, 1.0)[0]) == (*["secrets_unreadable"] * 3, "")


def test_unusable_destination_is_a_problem_with_the_reason_that_the_worker_gives() -> None:
    scene, reason = Scene(), "destination.webhook.signing has 5 bytes"
    scene.consumer.stall_check.delivery_ended(ReportKind.UNUSABLE, reason)
    begun = after(scene, 600.0)
    scene.consumer.stall_check.delivery_ended(ReportKind.WAITING)
    waits = after(scene, 600.0)
    scene.consumer.stall_check.delivery_ended(ReportKind.UNUSABLE, reason)
    scene.consumer.stall_check.delivery_ended(ReportKind.FINISHED)
    assert (begun, waits, after(scene, 29.0)) == (*[("destination_unusable", reason)] * 3,)
    assert after(scene, 1.0) == ("", "")


def test_failed_reading_is_over_after_a_minute_without_a_failure() -> None:
    scene = Scene()
    scene.consumer.begin_problem("consumer_failed", "beyond use", standing=True)
    early = after(scene, 59.0)[0]
    scene.consumer.delivery_succeeded()
    still = after(scene, 0.0)[0]
    scene.services.now += 1.0
    assert (early, still, after(scene, 0.0)[0]) == ("consumer_failed", "consumer_failed", "")


def test_failed_reading_is_not_over_while_a_position_is_unknown() -> None:
    scene = Scene()
    scene.consumer.begin_problem("consumer_failed", "beyond use", standing=True)
    scene.lane(ZERO).position_known = False
    assert "consumer_failed" in {after(scene, 59.0)[0], after(scene, 59.0)[0]}


def looking_ahead() -> Scene:
    """The first lane has stopped before an unreadable record, which is the last of its partition."""
    scene = Scene()
    scene.reads(ZERO, *[BAD] * (IN_A_ROW + 1))
    for _, written in scene.services.dead_letters.written:
        written()
    return scene


def test_lane_that_looks_ahead_knows_its_position() -> None:
    scene = looking_ahead()
    codes = {after(scene, 61.0)[0] for _ in range(3)}
    assert "position_unknown" not in {problem.code for problem in scene.consumer.status().problems} | codes


def test_lane_that_looks_ahead_does_not_keep_the_failure_of_reading() -> None:
    scene = looking_ahead()
    scene.consumer.begin_problem("consumer_failed", "beyond use", standing=True)
    after(scene, 61.0)
    assert "consumer_failed" not in {problem.code for problem in scene.consumer.status().problems}


def test_lane_that_looks_ahead_is_not_at_its_end() -> None:
    scene = Scene()
    ended(scene, ZERO, IN_A_ROW, *[BAD] * IN_A_ROW)
    ended(scene, ONE, 0)
    for _, written in scene.services.dead_letters.written:
        written()
    scene.reads(ZERO, *[BAD] * 30, at=IN_A_ROW)
    scene.kafka_consumer.last = IN_A_ROW + 30
    assert passes(scene, 1).lag == 30
