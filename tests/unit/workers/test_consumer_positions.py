"""Where lanes start to read, what they restore from commits, which records were lost, and what the status shows."""

import pytest

from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import GOOD, ONE, SMALL, ZERO, Scene, decoded
from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.position import OffsetAndMetadata
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.activity import Event
from webhookd.flow.status.subscription_status import Health, LostRange
from workers.ingest.consumer.subscription_health import UNHEALTHY_AFTER_S


def test_unread_lane_does_not_seek() -> None:
    scene = Scene()
    scene.consumer.seek([(scene.lane(), scene.lane().rewind("next"))])
    assert scene.kafka_consumer.asked == []


@pytest.mark.parametrize(
    ("committed", "first", "begins"),
    [(None, 0, 5), (OffsetAndMetadata(42), 0, 42), (None, 8, 8), (OffsetAndMetadata(95), 2, 2)],
)
def test_partition_without_a_position_starts_where_it_should(
    committed: OffsetAndMetadata | None, first: int, begins: int
) -> None:
    scene = Scene()
    scene.kafka_consumer.committed, scene.kafka_consumer.first, scene.kafka_consumer.last = committed, first, 90
    scene.kafka_consumer.listener.position_required(ZERO)
    assert scene.kafka_consumer.asked == [("seek", ZERO, begins)]
    assert scene.committable() == {ZERO: begins}


def test_lost_records_make_the_subscription_unhealthy() -> None:
    scene = Scene()
    scene.kafka_consumer.committed, scene.kafka_consumer.first, scene.kafka_consumer.last = OffsetAndMetadata(3), 8, 90
    scene.kafka_consumer.listener.position_required(ZERO)
    status = scene.consumer.status()
    assert (status.health, status.reason, status.since) == (Health.UNHEALTHY, "records_lost", 100.0)
    assert status.lost_ranges == (LostRange(topic=TOPIC, partition=0, first=3, end=8, at=100.0),)
    assert [(one.event, one.error) for one in scene.services.activities] == [(Event.UNHEALTHY, "records_lost")]


def test_lost_records_are_counted_from_the_position_of_the_lane() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD, at=10)
    scene.kafka_consumer.committed, scene.kafka_consumer.first, scene.kafka_consumer.last = (
        OffsetAndMetadata(10),
        40,
        90,
    )
    scene.kafka_consumer.listener.position_required(ZERO)
    (lost,) = scene.consumer.status().lost_ranges
    assert ((lost.first, lost.end), len(scene.lane().waiting)) == ((12, 40), 2)
    assert scene.kafka_consumer.asked == [("seek", ZERO, 40)]


def test_nothing_is_dispatched_before_the_metadata_is_restored() -> None:
    scene = Scene(size=1)
    scene.lane().position_known = False
    scene.reads(ZERO, GOOD)
    assert (scene.consumer.accumulator.ready(0.0), scene.consumer.commits.take_moved()) == ([], {})


def test_failures_are_restored_from_the_commit() -> None:
    before = Scene(size=1)
    before.reads(ZERO, GOOD, at=7)
    before.lane().failures, before.lane().circuit.failing_since = 3, 50.0
    commit = before.consumer.commits.take_moved()[ZERO]
    after = Scene(size=1, committed=decoded(commit))
    after.reads(ZERO, GOOD, GOOD, at=7)
    (delivery,) = after.consumer.accumulator.ready(0.0)
    assert (commit.offset, delivery.failures, len(delivery.batches)) == (7, 3, 1)
    assert after.consumer.status().failing_since == 50.0


def test_open_circuit_stays_open_for_the_next_owner() -> None:
    scene = Scene(committed=OffsetAndMetadata(7, CommitMetadata(failed_attempts=5, failed_probes=4)))
    assert (scene.lane().circuit.state, scene.lane().circuit.failed_probes) == (CircuitState.OPEN, 4)


def test_topic_with_another_id_is_read_by_another_lane_from_the_start() -> None:
    scene = Scene(committed=OffsetAndMetadata(50, CommitMetadata(topic_id="first", failed_attempts=2)))
    scene.reads(ZERO, GOOD, at=50)
    scene.kafka_consumer.first, scene.kafka_consumer.last = 3, 900
    old = scene.lane()
    scene.services.ids[TOPIC] = "second"
    for _ in range(2):
        scene.consumer.update_topics(Topics(partitions={TOPIC: 2}, ids={TOPIC: "second"}))
    assert scene.lane() is not old
    assert (scene.lane().topic_id, scene.lane().failures) == ("second", 0)
    assert ("seek", ZERO, 3) in scene.kafka_consumer.asked
    assert (scene.consumer.status().lost_ranges, scene.committable()[ZERO]) == ((), 3)


def test_late_topic_metadata_does_not_replace_a_new_lane() -> None:
    scene = Scene()
    scene.services.ids[TOPIC] = "second"
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.kafka_consumer.listener.assigned([ZERO])
    lane = scene.lane()
    scene.consumer.update_topics(Topics(partitions={TOPIC: 2}, ids={TOPIC: "first"}))
    assert (scene.lane() is lane, lane.topic_id) == (True, "second")


def test_committed_offset_of_a_deleted_topic_is_not_used() -> None:
    scene = Scene(committed=OffsetAndMetadata(50, CommitMetadata(topic_id="first")), ids={TOPIC: "second"})
    assert ("seek", ZERO, 0) in scene.kafka_consumer.asked
    assert (scene.lane().topic_id, scene.committable()[ZERO]) == ("second", 0)


def test_lane_that_has_read_on_is_not_sent_back_by_a_late_result() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD)
    scene.kafka_consumer.last = 2
    scene.services.held = []
    scene.kafka_consumer.listener.position_required(ZERO)
    scene.reads(ZERO, GOOD, GOOD, at=2)
    for answer in scene.services.held:
        answer()
    assert (scene.kafka_consumer.asked[-1], scene.lane().ledger.position) == (("seek", ZERO, 4), 4)
    assert [record.offset for record in scene.lane().waiting] == [0, 1, 2, 3]


def test_position_in_a_deleted_topic_is_not_used_in_the_recreated_one() -> None:
    scene = Scene(ids={TOPIC: "first"})
    scene.reads(ZERO, GOOD, GOOD)
    scene.services.ids[TOPIC] = "second"
    scene.kafka_consumer.last = 90
    scene.kafka_consumer.listener.position_required(ZERO)
    assert (scene.kafka_consumer.asked[-1], scene.lane().topic_id) == (("seek", ZERO, 0), "second")


def test_stored_start_is_not_used_in_a_recreated_topic() -> None:
    scene = Scene(topic_id="first")
    scene.services.ids[TOPIC] = "second"
    scene.kafka_consumer.last = 90
    scene.kafka_consumer.listener.position_required(ZERO)
    assert scene.kafka_consumer.asked[-1] == ("seek", ZERO, 0)


def test_batch_that_fails_for_five_minutes_makes_unhealthy() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD)
    scene.consumer.exchange_failed(LoggedExchange(100.0, "msg_1", 503, body=b"busy", error="http_503"))
    scene.lane().circuit.failing_since = 100.0
    scene.services.now = 100.0 + UNHEALTHY_AFTER_S - 1
    scene.consumer.check()
    before = scene.consumer.status()
    scene.services.now += 1
    scene.consumer.check()
    after = scene.consumer.status()
    assert (before.health, before.failing_since) == (Health.HEALTHY, 100.0)
    assert (after.health, after.reason, after.last_failure) == (Health.UNHEALTHY, "http_503", "http_503: busy")


def test_status_shows_the_lag() -> None:
    scene = Scene()
    scene.kafka_consumer.last = 40
    scene.reads(ZERO, SMALL, at=9)
    scene.reads(ONE, SMALL, at=19)
    scene.consumer.check()
    assert scene.consumer.status().lag == 30 + 20


def test_recreated_topic_is_read_from_its_start() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, SMALL, SMALL, at=50)
    scene.committable()
    scene.kafka_consumer.committed, scene.kafka_consumer.last = OffsetAndMetadata(53), 2
    scene.kafka_consumer.listener.position_required(ZERO)
    scene.reads(ZERO, GOOD, GOOD)
    assert [record.offset for record in scene.lane().waiting] == [0, 1]
    assert scene.committable() == {ZERO: 0}


def test_failed_seek_is_repeated() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD)
    scene.kafka_consumer.gone.add(ZERO)
    scene.consumer.seek([(scene.lane(), scene.lane().rewind("next"))])
    scene.reads(ZERO, GOOD, at=2)
    scene.kafka_consumer.gone.clear()
    ((_, again),) = scene.services.later
    again()
    scene.reads(ZERO, GOOD, GOOD)
    assert scene.kafka_consumer.asked == [("seek", ZERO, 0)]
    assert [record.offset for record in scene.lane().waiting] == [0, 1]


def test_nothing_is_taken_before_a_failed_seek_is_repeated() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD)
    scene.kafka_consumer.gone.add(ZERO)
    scene.consumer.seek([(scene.lane(), 2)])
    scene.reads(ZERO, GOOD, at=5)
    assert [record.offset for record in scene.lane().waiting] == [0, 1]


def test_repeated_seek_goes_to_the_position_at_that_time() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD)
    scene.kafka_consumer.gone.add(ZERO)
    scene.consumer.seek([(scene.lane(), 2)])
    scene.kafka_consumer.gone.clear()
    scene.consumer.seek([(scene.lane(), scene.lane().rewind("next"))])
    ((_, again),) = scene.services.later
    again()
    assert scene.kafka_consumer.asked == [("seek", ZERO, 0), ("seek", ZERO, 0)]


def test_missing_topic_makes_unhealthy_until_it_exists() -> None:
    scene = Scene()
    scene.consumer.update_topics(Topics(partitions={TOPIC: 0}))
    scene.consumer.delivery_succeeded()
    without = scene.consumer.status()
    scene.consumer.update_topics(Topics(partitions={TOPIC: 1}))
    assert (without.health, without.reason) == (Health.UNHEALTHY, "topic_missing")
    assert scene.consumer.status().health is Health.HEALTHY
