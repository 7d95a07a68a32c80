"""Performs a timeline at its times, on a thread of its own, and records what happened when."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.run_folder.facts import Event, EventKind
from webhookd_load_test.run_folder.units import NS_PER_S


class TimelineFailed(Exception):
    """A step could not be performed, so those behind it were not. The message names the step and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a step has done, in words. `restart` starts again what it has killed, and returns that in words."""

    kind: EventKind
    text: str
    restart: "Callable[[], Done] | None" = None


class Actions(Protocol):
    """Performs steps."""

    def perform(self, step: Step) -> Done:
        """Perform a step; blocks until it is complete. What it raises ends the timeline."""


class Clock(Protocol):
    """Nanoseconds since the epoch."""

    def now_ns(self) -> int:
        """The time now."""

    def wait_until(self, at_ns: int, stopping: threading.Event) -> bool:
        """Block until then; returns False as soon as `stopping` is set."""


class WallClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """The time now."""
        return time.time_ns()

    def wait_until(self, at_ns: int, stopping: threading.Event) -> bool:
        """Block until then; returns False as soon as `stopping` is set."""
        return not stopping.wait(max(0, at_ns - self.now_ns()) / NS_PER_S)


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    """A step or a restart. They are performed in the order of `planned_ns`, as if none took time.

    So those that take long only delay the others: the order is the one that was checked before the run. Of two at the
    same time, a restart comes first.
    """

    planned_ns: int
    order: tuple[int, int]
    not_before_ns: int
    name: str
    perform: Callable[[], Done]
    restart_after_s: float | None = None


class Timeline:
    """Performs steps, each when its time has come and those before it are complete.

    What was killed is started again `for_s` after its kill. Every step and every restart becomes an event, with the
    times at which it really began and was complete. `stopping` ends the timeline; it is the one that the actions
    heed too, so that a step that waits ends. `tell` is called with each event, on the timeline's thread.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        actions: Actions,
        *,
        stopping: threading.Event | None = None,
        tell: Callable[[Event], None] = lambda _event: None,
        clock: Clock | None = None,
    ) -> None:
        self._steps = steps
        self._actions = actions
        self._stopping = stopping or threading.Event()
        self._tell = tell
        self._clock = clock or WallClock()
        self._due: list[_Due] = []
        self._order = count()
        self._events: list[Event] = []
        self._failure: TimelineFailed | None = None
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    @property
    def events(self) -> list[Event]:
        """What has happened until now, in order; any thread."""
        return list(self._events)

    @property
    def running(self) -> bool:
        """Whether steps are left to perform; any thread."""
        return self._thread.is_alive()

    def begin(self, at_ns: int) -> None:
        """Start; the steps' times count from `at_ns`. Does not block. Call it once."""
        for step in self._steps:
            perform = partial(self._actions.perform, step)
            planned_ns = at_ns + int(step.at_s * NS_PER_S)
            self._add(_Due(planned_ns, (1, next(self._order)), planned_ns, step.do, perform, step.for_s))
        self._thread.start()

    def finish(self) -> None:
        """Block until all steps and restarts are complete. Raises TimelineFailed."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Perform no further step, and block until the present one has ended: an event says which were left."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._due and self._failure is None:
            if not self._clock.wait_until(self._due[0].not_before_ns, self._stopping):
                left = ", ".join(due.name for due in sorted(self._due))
                self._record(self._clock.now_ns(), Done(kind="run", text=f"timeline stopped; not done: {left}"))
                return
            self._perform(heapq.heappop(self._due))

    def _perform(self, due: _Due) -> None:
        began_ns = self._clock.now_ns()
        try:
            done = due.perform()
        except Exception as error:  # noqa: BLE001 - whatever it is, `finish` raises it to the caller
            self._failure = TimelineFailed(f"{due.name} failed: {error}")
            self._failure.__cause__ = error
            done = Done(kind="run", text=str(self._failure).splitlines()[0])
        self._record(began_ns, done)
        if done.restart is not None and due.restart_after_s is not None:
            after_ns = int(due.restart_after_s * NS_PER_S)
            not_before_ns = self._clock.now_ns() + after_ns
            planned_ns = due.planned_ns + after_ns
            self._add(
                _Due(planned_ns, (0, next(self._order)), not_before_ns, f"restart after {due.name}", done.restart)
            )

    def _add(self, due: _Due) -> None:
        heapq.heappush(self._due, due)

    def _record(self, began_ns: int, done: Done) -> None:
        event = Event(at_ns=began_ns, until_ns=self._clock.now_ns(), kind=done.kind, text=done.text)
        self._events.append(event)
        self._tell(event)
