"""The ends of held and paused lanes: one question for all subscriptions of the process, and never two at once."""

from collections.abc import Callable

from tests.harness.intakes import ONE, SMALL, ZERO, Scene
from tests.harness.lanes import TOPIC
from webhookd.flow.lane import LaneState
from webhookd.flow.position import Bounds, Partition
from webhookd.testing.memory_partitions import MemoryPartitions
from workers.ingest.unfetched_ends import ASK_EVERY_S, UnfetchedEnds


class Process:
    """Subscriptions of one topic, whose ends are asked for in the background, which the test lets run."""

    def __init__(self, subscriptions: int) -> None:
        self.scenes = [Scene() for _ in range(subscriptions)]
        self.offsets = MemoryPartitions()
        self.offsets.held = {Partition(TOPIC, n): Bounds(first=0, end=500) for n in range(2)}
        self.background: list[Callable[[], None]] = []
        self.ends = UnfetchedEnds(
            self.offsets,
            {str(number): scene.intake for number, scene in enumerate(self.scenes)},
            call=lambda action: action(),
            in_background=self.background.append,
        )

    def answer(self) -> None:
        for question in self.background:
            question()
        self.background.clear()


def test_all_held_lanes_of_a_process_are_one_question() -> None:
    process = Process(3)
    for scene in process.scenes:
        scene.reads(ZERO, SMALL)
        scene.reads(ONE, SMALL)
        scene.lane(ZERO).state = LaneState.HELD
    process.ends.ask(0.0)
    process.answer()
    for scene in process.scenes:
        scene.intake.look_after()
    assert process.offsets.questions == [("ends", frozenset([ZERO]))]
    assert [scene.intake.condition().lag for scene in process.scenes] == [499, 499, 499]


def test_ends_of_paused_lanes_are_asked_for_too() -> None:
    process = Process(1)
    process.scenes[0].lane(ONE).paused = True
    process.ends.ask(0.0)
    process.answer()
    assert process.offsets.questions == [("ends", frozenset([ONE]))]


def test_lanes_that_flow_are_not_asked_about() -> None:
    process = Process(2)
    process.ends.ask(0.0)
    assert process.background == []


def test_question_that_is_not_answered_is_not_asked_twice() -> None:
    process = Process(1)
    process.scenes[0].lane(ZERO).state = LaneState.HELD
    for now in (0.0, ASK_EVERY_S, 2 * ASK_EVERY_S):
        process.ends.ask(now)
    asked = len(process.background)
    process.answer()
    process.ends.ask(3 * ASK_EVERY_S)
    assert (asked, len(process.background)) == (1, 1)


def test_question_waits_for_its_interval() -> None:
    process = Process(1)
    process.scenes[0].lane(ZERO).state = LaneState.HELD
    for now in (0.0, ASK_EVERY_S - 0.1, ASK_EVERY_S):
        process.ends.ask(now)
        process.answer()
    assert len(process.offsets.questions) == 2


def test_end_of_a_topic_made_again_is_not_that_of_the_old_one() -> None:
    process = Process(1)
    (scene,) = process.scenes
    scene.reads(ZERO, SMALL)
    scene.reads(ONE, SMALL)
    scene.lane(ZERO).state = LaneState.HELD
    process.ends.ask(0.0)
    process.answer()
    scene.intake.open(ZERO).skip_to(0)
    scene.intake.look_after()
    assert scene.intake.condition().lag == 0
