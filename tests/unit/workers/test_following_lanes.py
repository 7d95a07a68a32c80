"""Lanes of subscriptions that follow the shared reader and leave it; both Kafka clients are controlled by the test."""

from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from tests.harness.lanes import TOPIC
from tests.harness.memory_consumer import MemoryPartitionReader, MemoryServices, refused_reader
from tests.harness.subscription_consumers import BAD, GOOD, ONE, SMALL, ZERO, Scene, offsets
from webhookd.edges.kafka_partition_reader import ReaderCallbacks
from webhookd.flow.batching.follower import UNDECODABLE_IN_A_ROW
from webhookd.flow.monitoring.kafka_read_errors import ALL_PARTITIONS
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.policy.policy import OPEN_TOPIC
from workers.ingest.consumer.following_lanes import RETURN_S
from workers.ingest.consumer.shared_reader import AFTER_FAULT_S, LARGEST_LEAD, RETRY_S, SharedReader

OTHER = "5b6de4f0-2f4e-4d0d-8f0f-1f6c3a3b8c55"


class Site:
    """Subscriptions of one process, whose lanes are at offset 3 of partition 0, the end."""

    def __init__(self, *filters: Sequence[str]) -> None:
        self.readers: list[MemoryPartitionReader] = []
        self.services = MemoryServices(self._open)
        given = filters or (("total > `100`",),)
        self.scenes = [
            Scene(filters=some, id_=f"{n}{OTHER[1:]}", services=self.services, policies=OPEN_TOPIC)
            for n, some in enumerate(given)
        ]
        for scene in self.scenes:
            self.catch_up(scene)

    def _open(self, callbacks: ReaderCallbacks) -> MemoryPartitionReader:
        self.readers.append(MemoryPartitionReader(callbacks))
        return self.readers[-1]

    @property
    def reader(self) -> MemoryPartitionReader:
        return self.readers[-1]

    def catch_up(self, scene: Scene, at: int = 3) -> None:
        scene.kafka_consumer.listener.end_reached(ZERO, at)
        scene.reads(ZERO, SMALL, at=at - 1)

    def arrive(self, *values: bytes, at: int = 3, end: bool = False) -> None:
        """The shared reader fetches these values."""
        self.reader.arrived.append(
            [
                Message(topic=TOPIC, partition=0, offset=at + n, value=value, timestamp=(1, 0))
                for n, value in enumerate(values)
            ]
        )
        if end:
            self.reader.callbacks.end_reached(ZERO, at + len(values))
        self.services.shared_reader.poll(self.services.now)


def waiting(scene: Scene) -> list[int]:
    return [record.offset for record in scene.lane().waiting]


def test_lane_that_has_caught_up_follows_and_its_own_consumer_pauses() -> None:
    site = Site()
    (scene,) = site.scenes
    assert site.reader.reads == {ZERO: 3}
    assert ("pause", ZERO, 0) in scene.kafka_consumer.asked
    site.arrive(GOOD, SMALL, end=True)
    assert (waiting(scene), scene.lane().at_end, scene.lane().ledger.position) == ([3], True, 5)


def test_lane_that_is_behind_its_end_does_not_follow() -> None:
    scene = Scene(services=MemoryServices(refused_reader))
    scene.reads(ZERO, SMALL)
    assert not scene.lane().following


def test_lanes_are_read_by_their_own_consumers_while_there_is_no_shared_client() -> None:
    scene = Scene(services=MemoryServices(refused_reader))
    scene.kafka_consumer.listener.end_reached(ZERO, 1)
    scene.reads(ZERO, SMALL)
    assert (scene.lane().at_end, scene.lane().following) == (True, False)


def test_records_that_the_own_consumer_had_fetched_are_ignored() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.reads(ZERO, GOOD, at=3)
    site.arrive(GOOD, at=3)
    assert waiting(scene) == [3]


def test_records_are_decided_for_all_and_counted() -> None:
    site = Site(("total > `100`",), ("total == `1`",), ())
    site.arrive(GOOD, SMALL, SMALL)
    assert [waiting(scene) for scene in site.scenes] == [[3], [2, 4, 5], [2, 3, 4, 5]]
    for scene in site.scenes:
        scene.consumer.check()
    counted = [
        (one.consumer.counters.read, one.consumer.counters.matched, one.consumer.counters.filtered)
        for one in site.scenes
    ]
    assert counted == [(4, 1, 3), (4, 3, 1), (4, 4, 0)]


def test_lane_ahead_of_the_reader_follows_from_its_own_position() -> None:
    site = Site((), ())
    first, second = site.scenes
    site.services.shared_reader.leave(second.lane())
    site.catch_up(second, at=6)
    assert (second.lane().following, second.lane().ledger.position, waiting(second)) == (True, 6, [2, 5])
    site.arrive(GOOD, GOOD, GOOD, GOOD, GOOD)
    assert (waiting(first), waiting(second)) == ([2, 3, 4, 5, 6, 7], [2, 5, 6, 7])


def test_lane_behind_the_reader_does_not_follow_yet() -> None:
    site = Site((), ())
    _, second = site.scenes
    second.consumer.following.leave(second.lane())
    site.arrive(GOOD, GOOD)
    site.services.now += RETURN_S
    site.catch_up(second, at=4)
    assert not second.lane().following
    site.catch_up(second, at=5)
    assert second.lane().following


def test_lane_far_ahead_of_the_reader_does_not_wait_for_it() -> None:
    site = Site((), ())
    _, second = site.scenes
    second.consumer.following.leave(second.lane())
    site.services.now += RETURN_S
    site.catch_up(second, at=3 + LARGEST_LEAD + 1)
    assert not second.lane().following


def test_lane_that_has_left_returns_only_after_its_own_consumer_has_read_to_the_end() -> None:
    site = Site((), ())
    first, _ = site.scenes
    site.reader.callbacks.failed(ZERO, "not authorised")
    site.services.shared_reader.poll(site.services.now)
    site.services.now += RETURN_S
    first.consumer.poll(site.services.now, 0.001)
    before = first.lane().following
    first.kafka_consumer.listener.end_reached(ZERO, 3)
    first.consumer.poll(site.services.now, 0.001)
    assert (before, first.lane().following) == (False, True)


def test_fault_of_one_subscription_leaves_no_other_one_on_a_partition_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site((), ())
    first, second = site.scenes

    def fail(*_: object) -> None:
        raise AssertionError("a fault of ours")

    monkeypatch.setattr(first.consumer.following, "lane_dropped", fail)
    site.reader.callbacks.failed(ZERO, "out of range")
    site.services.shared_reader.poll(site.services.now)
    assert [id_ for id_, _ in site.services.restarts] == [first.consumer.subscription.id]
    assert not second.lane().following


def test_partition_that_cannot_be_removed_costs_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    (scene,) = site.scenes

    def refuse(_partitions: object) -> None:
        raise KafkaException(KafkaError(KafkaError._STATE))

    monkeypatch.setattr(site.reader, "remove", refuse)
    scene.consumer.pause(scene.lane())
    site.services.shared_reader.poll(site.services.now)
    assert site.reader.closed
    site.services.now += RETRY_S
    scene.consumer.resume(scene.lane())
    site.catch_up(scene, at=4)
    assert (scene.lane().following, len(site.readers)) == (True, 2)


def test_full_buffer_of_a_lane_that_follows_pauses_that_lane_alone() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.consumer.backpressure.skipping_since = 1.0  # its own consumer was not polled for a moment
    site.arrive(GOOD)
    assert scene.lane().following


def test_lag_after_leaving_is_not_that_of_an_old_fetch() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.kafka_consumer.listener.revoked([ONE])
    scene.kafka_consumer.last, site.reader.ends[ZERO] = 3, 50
    site.arrive(SMALL)
    scene.consumer.pause(scene.lane())
    scene.consumer.check()
    assert scene.consumer.health.lag == 46


def test_lag_in_a_recreated_topic_is_not_that_of_the_old_one() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.kafka_consumer.listener.revoked([ONE])
    site.reader.ends[ZERO], scene.kafka_consumer.last = 50, 9
    scene.consumer.open_lane(ZERO).skip_to(4)
    scene.consumer.check()
    assert scene.consumer.health.lag == 5


def test_records_are_counted_up_to_where_a_lane_left() -> None:
    site = Site((), ())
    site.arrive(*[BAD] * UNDECODABLE_IN_A_ROW, GOOD, GOOD)
    assert [scene.consumer.counters.read for scene in site.scenes] == [1 + UNDECODABLE_IN_A_ROW] * 2


def test_dropped_records_are_shown_in_the_status_now_and_then() -> None:
    site = Site()
    (scene,) = site.scenes
    shown = []
    for seconds in (0.0, 1.0, site.services.dropped_commit_interval_s):
        site.services.now += seconds
        site.arrive(SMALL, at=scene.lane().ledger.position)
        scene.consumer.status_changed = False
        scene.consumer.following.count()
        shown.append(scene.consumer.status_changed)
    assert shown == [True, False, True]


def test_paused_lane_leaves_at_the_readers_position() -> None:
    site = Site()
    (scene,) = site.scenes
    site.arrive(SMALL, SMALL)
    scene.consumer.pause(scene.lane())
    assert scene.kafka_consumer.asked[-2:] == [("seek", ZERO, 5), ("pause", ZERO, 0)]
    assert (scene.lane().following, site.reader.reads, scene.lane().ledger.position) == (False, {}, 5)
    assert scene.consumer.subscription.id in site.services.polled_soon


def test_rewound_lane_leaves_to_its_watermark() -> None:
    site = Site((), ())
    first, second = site.scenes
    site.arrive(GOOD, GOOD)
    at = first.lane().rewind("another")
    first.consumer.seek([(first.lane(), at)])
    site.arrive(GOOD, at=5)
    assert first.kafka_consumer.asked[-2:] == [("seek", ZERO, 2), ("resume", ZERO, 0)]
    assert (waiting(first), waiting(second)) == ([], [2, 3, 4, 5])


def test_undecodable_record_is_dead_lettered_by_each_lane_and_they_go_on() -> None:
    site = Site((), ("total == `200`",))
    site.arrive(BAD, GOOD)
    assert [waiting(scene) for scene in site.scenes] == [[2, 4], [4]]
    assert [[letter.offset for letter in letters] for letters, _ in site.services.dead_letters.written] == [[3], [3]]
    assert all(scene.lane().following for scene in site.scenes)


def test_lane_leaves_when_many_in_a_row_cannot_be_decoded() -> None:
    site = Site((), ())
    site.arrive(*[BAD] * (UNDECODABLE_IN_A_ROW + 5))
    at = 3 + UNDECODABLE_IN_A_ROW
    for scene in site.scenes:
        assert (scene.lane().following, scene.lane().ledger.position) == (False, at)
        assert scene.kafka_consumer.asked[-2:] == [("seek", ZERO, at), ("resume", ZERO, 0)]


@pytest.mark.parametrize("place", [ZERO, Partition(TOPIC, ALL_PARTITIONS)])
def test_lanes_leave_a_partition_that_cannot_be_read(place: Partition) -> None:
    site = Site((), ())
    site.reader.callbacks.failed(place, "out of range")
    site.services.shared_reader.poll(site.services.now)
    assert site.reader.reads == {}
    assert all(scene.kafka_consumer.asked[-2:] == [("seek", ZERO, 3), ("resume", ZERO, 0)] for scene in site.scenes)


def test_position_that_kafka_does_not_have_is_looked_up_before_the_own_consumer_reads() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.kafka_consumer.first, scene.kafka_consumer.last = 7, 9
    site.reader.callbacks.position_required(ZERO)
    site.services.shared_reader.poll(site.services.now)
    assert scene.kafka_consumer.asked[-2:] == [("seek", ZERO, 7), ("resume", ZERO, 0)]
    assert [(lost.first, lost.end) for lost in scene.consumer.health.lost_ranges] == [(3, 7)]


def test_lanes_leave_a_client_that_has_failed_and_come_back_to_another_one() -> None:
    site = Site()
    (scene,) = site.scenes
    site.reader.failure = KafkaException(KafkaError(KafkaError._FATAL))
    site.services.shared_reader.poll(site.services.now)
    assert (site.readers[0].closed, scene.lane().following) == (True, False)
    site.services.now += RETRY_S / 2
    site.catch_up(scene, at=4)
    assert not scene.lane().following
    site.services.now += RETRY_S
    site.catch_up(scene, at=5)
    assert (scene.lane().following, len(site.readers)) == (True, 2)


def test_subscriptions_start_again_after_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site((), ())

    def fail(*_: object) -> list[object]:
        raise AssertionError("a fault of ours")

    monkeypatch.setattr("webhookd.flow.authorization.shared_matching.SharedMatching.match", fail)
    site.arrive(GOOD)
    assert [id_ for id_, _ in site.services.restarts] == [scene.consumer.subscription.id for scene in site.scenes]
    for scene in site.scenes:
        scene.consumer.following.leave_all()
    site.services.now += AFTER_FAULT_S / 2
    site.catch_up(site.scenes[0], at=9)
    assert not site.scenes[0].lane().following


def test_fault_of_one_subscription_restarts_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site((), ())
    first, second = site.scenes

    def fail() -> None:
        raise AssertionError("a fault of ours")

    monkeypatch.setattr(first.consumer, "request_dispatch", fail)
    site.arrive(GOOD)
    assert [id_ for id_, _ in site.services.restarts] == [first.consumer.subscription.id]
    assert (waiting(second), second.lane().following) == ([2, 3], True)


def test_subscription_with_an_expression_that_may_take_long_never_follows() -> None:
    site = Site(("length(items) > `1`",))
    assert (site.readers, site.scenes[0].lane().at_end) == ([], True)


def test_closed_and_revoked_lanes_leave() -> None:
    site = Site((), ())
    first, second = site.scenes
    first.consumer.close()
    assert offsets(first.kafka_consumer.closed[0]) == {ZERO: 2}
    second.kafka_consumer.listener.revoked([ZERO, ONE])
    assert site.reader.reads == {}


def test_lanes_that_only_drop_records_commit_rarely() -> None:
    site = Site(("total > `100`",), ())
    dropping, delivering = site.scenes
    for scene in site.scenes:
        scene.committable()
    site.arrive(SMALL, SMALL)
    (delivery,) = delivering.consumer.accumulator.ready(site.services.now + 99.0)
    delivery.lanes[0].settle(3, 0)
    assert (dropping.committable(), delivering.committable()) == ({}, {ZERO: 5})
    site.services.now += site.services.dropped_commit_interval_s
    assert dropping.committable() == {ZERO: 5}


def test_lag_is_that_of_the_shared_reader() -> None:
    site = Site()
    (scene,) = site.scenes
    scene.kafka_consumer.last = 99
    scene.kafka_consumer.listener.revoked([ONE])
    site.reader.ends[ZERO] = 9
    site.arrive(SMALL)
    scene.consumer.check()
    behind = scene.consumer.health.lag
    site.arrive(SMALL, at=4, end=True)
    scene.consumer.check()
    assert (behind, scene.consumer.health.lag) == (5, 0)


def test_shared_reader_without_lanes_is_not_opened() -> None:
    site = SharedReader(refused_reader, lambda action: action(), lambda: 1.0)
    site.poll(1.0)
    assert (site.poll_at > 1.0, site.end_offset(ZERO)) == (True, None)


def test_committed_offset_needs_a_known_position() -> None:
    scene = Scene(services=MemoryServices(refused_reader), committed=OffsetAndMetadata(4))
    assert scene.committable() == {}
