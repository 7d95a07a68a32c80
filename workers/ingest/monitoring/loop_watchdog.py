"""Watches the ingest loop: how long its iterations take, and which code a slow iteration runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from webhookd import logs
from webhookd.flow.monitoring.loop_latency import SLOW_TICKS, STUCK_TICKS, TICK_S, LoopLatency
from webhookd.metrics.catalogue.ingest import LOOP_ITERATION
from webhookd.metrics.samples import Sample

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = tuple(str(ROOT / package) + "/" for package in ("workers", "webhookd"))
FRAMES = 6
"""At most so many of the innermost frames of webhookd's own code are logged."""

_log = logs.get(__name__)


class LoopWatchdog:
    """One thread. `iteration` returns the number of the loop's iteration, 0 while the loop waits.

    `thread_id` returns the id of the loop's thread.
    """

    def __init__(self, *, iteration: Callable[[], int], thread_id: Callable[[], int | None]) -> None:
        self._iteration = iteration
        self._thread_id = thread_id
        self._latency = LoopLatency()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(1.0)

    @property
    def longest_iteration_s(self) -> float:
        """The longest iteration of the last minute."""
        return self._latency.longest_iteration_s

    def samples(self) -> list[Sample]:
        """Return the longest iteration as a metric; for any thread. The loop may be stuck."""
        return [Sample(LOOP_ITERATION, (), self.longest_iteration_s)]

    def check(self) -> None:
        """One tick: log an iteration once when it becomes slow, and once more when it is stuck."""
        iteration = self._iteration()
        match self._latency.tick(iteration):
            case count if count == SLOW_TICKS:
                _log.warning(
                    "slow_loop_iteration", iteration=iteration, lasts_s=count * TICK_S, at=self._current_frames()
                )
            case count if count == STUCK_TICKS:
                _log.error(
                    "stuck_loop_iteration",
                    code="stuck_loop_iteration",
                    iteration=iteration,
                    lasts_s=count * TICK_S,
                    at=self._current_frames(),
                )

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.check()

    def _current_frames(self) -> list[str]:
        frame = sys._current_frames().get(self._thread_id() or 0)  # noqa: SLF001 - there is no public function for it
        return own_frames(frame)


def own_frames(frame: FrameType | None) -> list[str]:
    """The frames of webhookd's own code in a stack, the innermost first: file, line and function."""
    found: list[str] = []
    while frame is not None and len(found) < FRAMES:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGES):
            found.append(f"{Path(file).relative_to(ROOT)}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return found
