"""What is left to publish of a file of which a part was acknowledged before, and when it is due."""

from collections.abc import Iterator
from typing import NamedTuple

from webhookd_load_test.records.csv_file import Row
from webhookd_load_test.records.generate import Record
from webhookd_load_test.run_folder.units import NS_PER_MS


class PendingRow(NamedTuple):
    """A record that is to be published; `number` is its place in the file from 0, `line` that of its row from 1."""

    number: int
    line: int
    record: Record


def pending_rows(rows: Iterator[Row], acknowledged: Iterator[int]) -> Iterator[PendingRow]:
    """The rows that are not acknowledged; the numbers of those that are must ascend. Keeps none of both."""
    next_acknowledged = next(acknowledged, None)
    for number, row in enumerate(rows):
        if number == next_acknowledged:
            next_acknowledged = next(acknowledged, None)
        else:
            yield PendingRow(number, row.line, row.record)


class Schedule:
    """When records are due, in nanoseconds since the epoch.

    The load begins at `begin_ns`, and passes `speed` times as fast as the file says. A run that goes on with a file
    publishes the rows that are missing up to the last acknowledged one at once. If it has no `begin_ns`, it goes on as
    if no time had passed: the first row behind that is due at once, and all others by their distance from it.
    """

    def __init__(self, *, started_ns: int, begin_ns: int | None, last_acknowledged: int, speed: float) -> None:
        self._started_ns = started_ns
        self._last_acknowledged = last_acknowledged
        self._speed = speed
        self._begin_ns = started_ns if begin_ns is None and last_acknowledged < 0 else begin_ns

    def due_ns(self, number: int, publish_ms: int) -> int:
        """When this record is due; call it with ascending numbers."""
        if number <= self._last_acknowledged:
            return self._started_ns
        after_ns = int(publish_ms * NS_PER_MS / self._speed)
        if self._begin_ns is None:
            self._begin_ns = self._started_ns - after_ns
        return self._begin_ns + after_ns
