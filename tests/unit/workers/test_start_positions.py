"""Lookups of start positions: one request for all lanes, and a request of its own for those without an answer."""

from collections.abc import Collection

from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import Scene
from tests.harness.subscriptions import ID
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.subscription import consumer_group
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets

GROUP = consumer_group(ID)
MANY = [Partition(TOPIC, number) for number in range(1000)]
ALL = frozenset(MANY)


class Lookups(Scene):
    """A subscription consumer whose calls run when the test runs them."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = MemoryPartitionOffsets()
        self.offsets.ranges = dict.fromkeys(MANY, OffsetRange(first=3, end=90))
        self.services.offsets = self.offsets
        self.kafka_consumer.asked.clear()
        self.services.calls = []

    def run(self) -> None:
        """Run all calls, and the calls that they make."""
        while self.services.calls:
            self.services.calls.pop(0)()

    def begun(self) -> dict[Partition, int]:
        """The offsets of the last seek in each partition."""
        return {partition: offset for call, partition, offset in self.kafka_consumer.asked if call == "seek"}


def test_partitions_without_a_commit_start_after_one_lookup() -> None:
    scene = Lookups()
    scene.kafka_consumer.listener.assigned(MANY)
    scene.run()
    assert scene.offsets.requests == [("committed", ALL), ("bounds", ALL)]
    assert scene.begun() == dict.fromkeys(MANY, 3) | {Partition(TOPIC, 0): 5}
    assert all(lane.position_known for lane in scene.consumer.accumulator.lanes.values())


def test_partitions_with_a_commit_start_at_it_without_a_seek() -> None:
    scene = Lookups()
    scene.offsets.commits[GROUP] = dict.fromkeys(MANY, OffsetAndMetadata(7, CommitMetadata(failed_attempts=2)))
    scene.kafka_consumer.listener.assigned(MANY)
    scene.run()
    assert (scene.offsets.requests, scene.begun()) == ([("committed", ALL)], {})
    assert {lane.failures for lane in scene.consumer.accumulator.lanes.values()} == {2}


def test_partitions_that_lose_their_position_together_need_one_lookup() -> None:
    scene = Lookups()
    scene.offsets.commits[GROUP] = dict.fromkeys(MANY, OffsetAndMetadata(1))
    scene.kafka_consumer.listener.assigned(MANY)
    scene.run()
    scene.offsets.requests.clear()
    for partition in MANY:
        scene.kafka_consumer.listener.position_required(partition)
    scene.run()
    assert scene.offsets.requests == [("committed", ALL), ("bounds", ALL)]
    assert scene.begun() == dict.fromkeys(MANY, 3)
    assert len(scene.consumer.status().lost_ranges) == 20


def test_need_that_a_running_lookup_covers_is_not_looked_up_again() -> None:
    scene = Lookups()
    scene.kafka_consumer.listener.assigned(MANY[:2])
    scene.run()
    scene.offsets.requests.clear()
    scene.services.held = []
    scene.kafka_consumer.listener.position_required(MANY[0])
    scene.run()
    scene.kafka_consumer.listener.position_required(MANY[0])
    scene.kafka_consumer.listener.position_required(MANY[1])
    held, scene.services.held = scene.services.held, None
    for question in held:
        question()
    scene.run()
    assert [asked for what, asked in scene.offsets.requests if what == "bounds"] == [{MANY[0]}, {MANY[1]}]


def test_silent_leader_delays_no_other_partition() -> None:
    scene = Lookups()
    scene.offsets.unanswered = {MANY[2], MANY[3]}
    scene.kafka_consumer.listener.assigned(MANY[:5])
    scene.run()
    assert set(scene.begun()) == {MANY[0], MANY[1], MANY[4]}
    scene.offsets.requests.clear()
    scene.offsets.unanswered.clear()
    ((_, again),) = scene.services.later
    again()
    scene.run()
    assert ("bounds", frozenset(MANY[2:4])) in scene.offsets.requests
    assert set(scene.begun()) == set(MANY[:5])


def test_new_partitions_do_not_wait_for_a_silent_leader() -> None:
    scene = Lookups()
    scene.offsets.unanswered = {MANY[2]}
    scene.kafka_consumer.listener.assigned(MANY[:3])
    scene.run()
    scene.services.held = []
    ((_, again),) = scene.services.later
    again()
    (_patient,), scene.services.held = scene.services.held, None
    scene.kafka_consumer.listener.assigned(MANY[3:5])
    scene.run()
    assert set(scene.begun()) == {*MANY[:2], *MANY[3:5]}


def test_coordinator_that_is_down_is_asked_again() -> None:
    scene = Lookups()
    scene.offsets.down = True
    scene.kafka_consumer.listener.assigned(MANY[:2])
    scene.run()
    scene.offsets.down = False
    unknown = [scene.lane(partition).position_known for partition in MANY[:2]]
    ((_, again),) = scene.services.later
    again()
    scene.run()
    assert (unknown, set(scene.begun())) == ([False, False], set(MANY[:2]))


class Faulty(MemoryPartitionOffsets):
    """Raises an unexpected error until it is `well`."""

    well = False

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        if not self.well:
            raise ValueError("a fault of ours")
        return super().committed(group, partitions, timeout_s)


def test_lookup_that_raises_is_repeated() -> None:
    scene = Lookups()
    scene.services.offsets = faulty = Faulty()
    faulty.ranges = scene.offsets.ranges
    scene.kafka_consumer.listener.assigned(MANY[:2])
    scene.run()
    faulty.well = True
    ((_, again),) = scene.services.later
    again()
    scene.kafka_consumer.listener.assigned(MANY[2:4])
    scene.run()
    assert set(scene.begun()) == set(MANY[:4])


def test_result_for_an_earlier_assignment_is_dropped() -> None:
    scene = Lookups()
    scene.offsets.commits[GROUP] = {MANY[0]: OffsetAndMetadata(7, CommitMetadata(failed_attempts=2))}
    scene.services.held = []
    scene.kafka_consumer.listener.assigned(MANY[:1])
    scene.run()
    (old,), scene.services.held = scene.services.held, None
    old()
    scene.kafka_consumer.listener.revoked(MANY[:1])
    scene.offsets.commits[GROUP] = {MANY[0]: OffsetAndMetadata(9, CommitMetadata(failed_attempts=4))}
    scene.kafka_consumer.listener.assigned(MANY[:1])
    scene.run()
    assert scene.lane().failures == 4


def test_position_lost_right_after_an_assignment_is_looked_up() -> None:
    scene = Lookups()
    scene.offsets.commits[GROUP] = {MANY[0]: OffsetAndMetadata(1)}
    scene.services.held = []
    scene.kafka_consumer.listener.assigned(MANY[:1])
    scene.run()
    scene.kafka_consumer.listener.revoked(MANY[:1])
    scene.kafka_consumer.listener.assigned(MANY[:1])
    scene.kafka_consumer.listener.position_required(MANY[0])
    held, scene.services.held = scene.services.held, None
    for question in held:
        question()
    scene.run()
    assert scene.begun() == {MANY[0]: 3}


def test_partition_that_refuses_a_seek_stops_no_other() -> None:
    scene = Lookups()
    scene.kafka_consumer.gone.add(MANY[1])
    scene.kafka_consumer.listener.assigned(MANY[:3])
    scene.run()
    assert set(scene.begun()) == {MANY[0], MANY[2]}
