"""Hands the rows of a file over at their times, until the end or a stop."""

import threading
import time
from collections.abc import Callable, Iterator

from webhookd_load_test.records.lateness import Lateness
from webhookd_load_test.records.pending_rows import PendingRow, Schedule
from webhookd_load_test.records.sender import Sender
from webhookd_load_test.run_folder.units import NS_PER_MS, NS_PER_S

TICK_S = 0.05
"""How late a stop is seen at most."""

SHORTEST_WAIT_S = 0.001
"""librdkafka waits in whole milliseconds."""

SERVED_ROWS = 64
"""While rows are overdue, answers are taken in after so many."""

STOPPING_S = 30.0
"""After a stop, what was handed over gets this long to be acknowledged."""


class PublishRun:
    """One run. `watch` is called whenever it has waited or handed over some rows; it may raise."""

    def __init__(
        self,
        sender: Sender,
        schedule: Schedule,
        stopping: threading.Event,
        *,
        now_ns: Callable[[], int],
        watch: Callable[["PublishRun"], None],
    ) -> None:
        self.sender = sender
        self.lateness = Lateness()
        self.sent = 0
        self._schedule = schedule
        self._stopping = stopping
        self._now_ns = now_ns
        self._watch = watch
        self._stop_until_s = 0.0

    def publish(self, rows: Iterator[PendingRow]) -> int:
        """Publish the rows, and wait for their answers; returns how many have none. Blocks."""
        for row in rows:
            due_ns = self._schedule.due_ns(row.number, row.record.publish_ms)
            if not (self._is_time(due_ns) and self._handed_over(row, due_ns)):
                break
            self.lateness.add((self._now_ns() - due_ns) / NS_PER_MS)
            self.sent += 1
            if self.sent % SERVED_ROWS == 0:
                self._serve(0)
        return self.sender.flush(self._gives_up)

    def _is_time(self, due_ns: int) -> bool:
        """Wait for that time; returns False when the run ends before."""
        while (left_ns := due_ns - self._now_ns()) > 0 and not self._ends():
            self._serve(min(max(left_ns / NS_PER_S, SHORTEST_WAIT_S), TICK_S))
        return not self._ends()

    def _handed_over(self, row: PendingRow, due_ns: int) -> bool:
        """Hand over a row, when there is room; returns False when the run ends before."""
        while not self.sender.send(row, due_ns):
            self._serve(TICK_S)
            if self._ends():
                return False
        return True

    def _serve(self, timeout_s: float) -> None:
        self.sender.serve(timeout_s)
        self._watch(self)

    def _ends(self) -> bool:
        return self._stopping.is_set() or bool(self.sender.failure)

    def _gives_up(self) -> bool:
        self._watch(self)
        if not self._ends():
            return False
        self._stop_until_s = self._stop_until_s or time.monotonic() + STOPPING_S
        return time.monotonic() >= self._stop_until_s
