"""End offsets of paused lanes: one request for all subscriptions of the process, and never two at once."""

from collections.abc import Callable

from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import ONE, SMALL, ZERO, Scene
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.offsets.position import OffsetRange, Partition
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.ingest.consumer.paused_end_offsets import REFRESH_S, PausedEndOffsets


class Process:
    """Subscriptions of one topic; the test runs the requests of the background."""

    def __init__(self, subscriptions: int) -> None:
        self.scenes = [Scene() for _ in range(subscriptions)]
        self.offsets = MemoryPartitionOffsets()
        self.offsets.ranges = {Partition(TOPIC, n): OffsetRange(first=0, end=500) for n in range(2)}
        self.background: list[Callable[[], None]] = []
        self.ends = PausedEndOffsets(
            self.offsets,
            {str(number): scene.consumer for number, scene in enumerate(self.scenes)},
            call=lambda action: action(),
            in_background=self.background.append,
        )

    def answer(self) -> None:
        for question in self.background:
            question()
        self.background.clear()


def test_all_paused_lanes_of_a_process_need_one_request() -> None:
    process = Process(3)
    for scene in process.scenes:
        scene.reads(ZERO, SMALL)
        scene.reads(ONE, SMALL)
        scene.lane(ZERO).circuit.state = CircuitState.OPEN
    process.ends.refresh(0.0)
    process.answer()
    for scene in process.scenes:
        scene.consumer.check()
    assert process.offsets.requests == [("ends", frozenset([ZERO]))]
    assert [scene.consumer.status().lag for scene in process.scenes] == [499, 499, 499]


def test_ends_of_paused_lanes_are_asked_for_too() -> None:
    process = Process(1)
    process.scenes[0].lane(ONE).paused = True
    process.ends.refresh(0.0)
    process.answer()
    assert process.offsets.requests == [("ends", frozenset([ONE]))]


def test_lanes_that_are_fetched_are_not_asked_about() -> None:
    process = Process(2)
    process.ends.refresh(0.0)
    assert process.background == []


def test_pending_request_is_not_repeated() -> None:
    process = Process(1)
    process.scenes[0].lane(ZERO).circuit.state = CircuitState.OPEN
    for now in (0.0, REFRESH_S, 2 * REFRESH_S):
        process.ends.refresh(now)
    asked = len(process.background)
    process.answer()
    process.ends.refresh(3 * REFRESH_S)
    assert (asked, len(process.background)) == (1, 1)


def test_request_waits_for_its_interval() -> None:
    process = Process(1)
    process.scenes[0].lane(ZERO).circuit.state = CircuitState.OPEN
    for now in (0.0, REFRESH_S - 0.1, REFRESH_S):
        process.ends.refresh(now)
        process.answer()
    assert len(process.offsets.requests) == 2


def test_end_of_a_recreated_topic_is_not_that_of_the_old_one() -> None:
    process = Process(1)
    (scene,) = process.scenes
    scene.reads(ZERO, SMALL)
    scene.reads(ONE, SMALL)
    scene.lane(ZERO).circuit.state = CircuitState.OPEN
    process.ends.refresh(0.0)
    process.answer()
    scene.consumer.open_lane(ZERO).skip_to(0)
    scene.consumer.check()
    assert scene.consumer.status().lag == 0
