"""A timeline on its thread. Oracle: the recorded actions and events; the clock is moved, nothing waits for time."""

import threading
from collections.abc import Sequence

import pytest

from stack.errors import NotChanged
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_thread import Done, Timeline, TimelineFailed, WallClock
from webhookd_load_test.run_folder.units import NS_PER_S

BEGAN_NS = 1_000 * NS_PER_S
DEADLINE_S = 30.0


class MovedClock:
    """Is moved to where somebody waits for, and by actions that take time."""

    def __init__(self) -> None:
        self.at_ns = BEGAN_NS

    def now_ns(self) -> int:
        return self.at_ns

    def wait_until(self, at_ns: int, stopping: threading.Event) -> bool:
        self.at_ns = max(self.at_ns, at_ns)
        return not stopping.is_set()

    @property
    def second(self) -> float:
        return (self.at_ns - BEGAN_NS) / NS_PER_S


class Recorded:
    """Actions that take `takes_s`, by name, and say when they began."""

    def __init__(self, clock: MovedClock, **takes_s: float) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.fails: str | None = None
        self.begun: list[tuple[float, str]] = []

    def perform(self, step: Step) -> Done:
        return self._act(step.do)

    def _act(self, name: str) -> Done:
        self.begun.append((self.clock.second, name))
        if name == self.fails:
            raise NotChanged("it did not end\nand this is its log")
        self.clock.at_ns += int(self.takes_s.get(name, 0) * NS_PER_S)
        restart = (lambda: self._act("restart")) if name.startswith("kill") else None
        return Done(kind="broker", text=name, restart=restart)


def performed(steps: Sequence[Step], **takes_s: float) -> tuple[Timeline, Recorded]:
    actions = Recorded(clock := MovedClock(), **takes_s)
    timeline = Timeline(steps, actions, clock=clock)
    timeline.begin(BEGAN_NS)
    timeline.finish()
    return timeline, actions


def test_steps_happen_in_the_order_of_their_times() -> None:
    steps = [Step(at_s=20, do="remove_broker"), Step(at_s=5, do="add_broker")]
    assert performed(steps)[1].begun == [(5, "add_broker"), (20, "remove_broker")]


def test_step_that_overruns_delays_the_next_and_events_say_when_each_happened() -> None:
    steps = [Step(at_s=5, do="add_broker"), Step(at_s=6, do="remove_broker")]
    events = performed(steps, add_broker=10, remove_broker=2)[0].events
    times = [((event.at_ns - BEGAN_NS) / NS_PER_S, (event.until_ns - BEGAN_NS) / NS_PER_S) for event in events]
    assert times == [(5, 15), (15, 17)]
    assert [event.text for event in events] == ["add_broker", "remove_broker"]


def test_killed_one_starts_again_and_that_is_an_event() -> None:
    steps = [Step(at_s=1, do="kill_broker", for_s=4), Step(at_s=3, do="add_broker")]
    timeline, actions = performed(steps)
    assert actions.begun == [(1, "kill_broker"), (3, "add_broker"), (5, "restart")]
    assert [event.text for event in timeline.events] == ["kill_broker", "add_broker", "restart"]


def test_killed_one_without_a_duration_stays_dead() -> None:
    assert performed([Step(at_s=1, do="kill_worker")])[1].begun == [(1, "kill_worker")]


def test_restart_keeps_its_place_and_its_duration_when_steps_overrun() -> None:
    steps = [
        Step(at_s=0, do="add_broker"),
        Step(at_s=1, do="kill_broker", for_s=4),
        Step(at_s=5, do="remove_broker"),
    ]
    begun = performed(steps, add_broker=10)[1].begun
    assert begun == [(0, "add_broker"), (10, "kill_broker"), (14, "restart"), (14, "remove_broker")]


def test_error_ends_the_timeline_and_is_raised_at_the_end() -> None:
    actions = Recorded(clock := MovedClock())
    actions.fails = "remove_broker"
    timeline = Timeline([Step(at_s=1, do="remove_broker"), Step(at_s=2, do="add_broker")], actions, clock=clock)
    timeline.begin(BEGAN_NS)
    with pytest.raises(TimelineFailed, match="remove_broker failed: it did not end"):
        timeline.finish()
    assert actions.begun == [(1, "remove_broker")]
    assert [(event.kind, event.text) for event in timeline.events] == [("run", "remove_broker failed: it did not end")]


def test_stopped_timeline_says_what_it_left_out() -> None:
    steps = [Step(at_s=1, do="add_broker"), Step(at_s=2, do="kill_broker"), Step(at_s=3, do="remove_broker")]
    actions = Recorded(clock := MovedClock())
    stopping = threading.Event()
    timeline = Timeline(steps, actions, clock=clock, stopping=stopping, tell=lambda _event: stopping.set())
    timeline.begin(BEGAN_NS)
    timeline.stop()
    assert actions.begun == [(1, "add_broker")]
    assert [event.text for event in timeline.events][1:] == ["timeline stopped; not done: kill_broker, remove_broker"]


def test_stop_ends_the_wait_for_a_step() -> None:
    timeline = Timeline([Step(at_s=3600, do="add_broker")], Recorded(MovedClock()))
    timeline.begin(WallClock().now_ns())
    stopper = threading.Thread(target=timeline.stop, daemon=True)
    stopper.start()
    stopper.join(DEADLINE_S)
    assert not timeline.running


def test_timeline_that_never_began_can_be_stopped() -> None:
    timeline = Timeline([Step(at_s=1, do="add_broker")], Recorded(MovedClock()))
    timeline.stop()
    assert timeline.events == []
