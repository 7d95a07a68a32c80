"""Whether the filters of a subscription fail again and again, told from how many errors each take of records had.

Nothing is done for a record, and nothing is kept of a topic without errors. The errors of a topic are

failing    20 records in a row that a filter raised on or was too costly for, in takes without any other record,
           or more than half of the last 100
over       50 records in a row without an error, or at most a tenth of the last 100 had one

Counts and not times, so that neither a slow nor a fast topic is judged differently.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from webhookd.flow.filters.matcher import shown
from webhookd.flow.subscription import Source

IN_A_ROW = 20
CLEAN_IN_A_ROW = 50
WINDOW = 100
"""The last records are those of the last takes that have as many together."""


class FilterErrorCounts(Protocol):
    """What counts the errors of one topic's filters; filters.matcher.Matcher does."""

    @property
    def errors(self) -> int:
        """Records that the filters could not judge."""
        ...

    @property
    def last_error(self) -> str:
        """The filter, a colon, and why it could not."""
        ...


@dataclass(slots=True)
class _Recent:
    """The last takes of a topic, each as records and errors."""

    takes: deque[tuple[int, int]] = field(default_factory=deque)
    records: int = 0
    errors: int = 0
    in_a_row: int = 0
    clean: int = 0

    def add(self, records: int, errors: int) -> None:
        self.takes.append((records, errors))
        self.records += records
        self.errors += errors
        self.in_a_row = self.in_a_row + errors if errors == records else 0
        self.clean = 0 if errors else self.clean + records
        while self.records - self.takes[0][0] >= WINDOW:
            old_records, old_errors = self.takes.popleft()
            self.records -= old_records
            self.errors -= old_errors

    @property
    def failing(self) -> bool:
        return self.in_a_row >= IN_A_ROW or (self.records >= WINDOW and 2 * self.errors > self.records)

    @property
    def over(self) -> bool:
        return self.clean >= CLEAN_IN_A_ROW or (self.records >= WINDOW and 10 * self.errors <= self.records)


class FilterFailureDetector:
    """Watches the filters of one subscription; owned by the ingest loop's thread."""

    def __init__(self, counting: Mapping[str, FilterErrorCounts], sources: Iterable[Source], known: str = "") -> None:
        """`known` is the detail of the problem as it was stored: it goes on where that filter is still there."""
        self._counting = counting
        self._counted = {topic: one.errors for topic, one in counting.items()}
        self._recent: dict[str, _Recent] = {}
        self._failing = {
            source.topic
            for source in sources
            if any(known.startswith(f"{source.topic}: {shown(filter_)}: ") for filter_ in source.jmes_filters)
        }
        self._recent.update({topic: _Recent() for topic in self._failing})

    @property
    def failing(self) -> bool:
        """Whether the filters of any topic fail again and again."""
        return bool(self._failing)

    def add_poll(self, topic: str, records: int) -> str | None:
        """After a take of so many records: the problem's detail when there is one to tell, "" when it is over now."""
        counted = self._counting[topic].errors
        errors = counted - self._counted[topic]
        if not errors and topic not in self._recent:
            return None
        self._counted[topic] = counted
        recent = self._recent.setdefault(topic, _Recent())
        recent.add(records, min(errors, records))
        if errors and (topic in self._failing or recent.failing):
            self._failing.add(topic)
            count = f"{recent.errors:,} of the last {recent.records:,} records"
            return f"{topic}: {self._counting[topic].last_error} ({count})"
        return self._end(topic, recent)

    def _end(self, topic: str, recent: _Recent) -> str | None:
        if not recent.over:
            return None
        was_failing = topic in self._failing
        self._failing.discard(topic)
        if not recent.errors:
            del self._recent[topic]
        return "" if was_failing and not self._failing else None
