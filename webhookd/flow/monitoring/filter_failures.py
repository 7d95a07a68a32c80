"""Detects that the filters of a subscription, or the projections of its policies, fail again and again.

It knows the number of errors in each poll.

It does no work per record, and keeps no state for a topic without errors.

state of a topic   when
failing            20 failed records in a row, in polls without any other record, or more than half of the last 100;
                   a record fails when a filter raises an error on it or takes too many steps, or when the projection
                   of a policy cannot be evaluated on it
over               50 records in a row without an error, or at most a tenth of the last 100 failed

The rules count records, not time, so they are the same for slow and fast topics.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

IN_A_ROW = 20
CLEAN_IN_A_ROW = 50
WINDOW = 100
"""The "last 100 records" are the records of the newest polls that have at least so many together."""


class ErrorCounts(Protocol):
    """Counts the errors of one topic's filters (filters.matcher) or projections (authorization.authorizer)."""

    @property
    def errors(self) -> int:
        """Number of records on which one failed."""
        ...

    @property
    def last_error(self) -> str:
        """The name of the one that failed last, a colon, and its error."""
        ...


@dataclass(slots=True)
class _Recent:
    """The last polls of a topic, each with its number of records and errors."""

    polls: deque[tuple[int, int]] = field(default_factory=deque)
    records: int = 0
    errors: int = 0
    in_a_row: int = 0
    clean_in_a_row: int = 0

    def add(self, records: int, errors: int) -> None:
        self.polls.append((records, errors))
        self.records += records
        self.errors += errors
        self.in_a_row = self.in_a_row + errors if errors == records else 0
        self.clean_in_a_row = 0 if errors else self.clean_in_a_row + records
        while self.records - self.polls[0][0] >= WINDOW:
            old_records, old_errors = self.polls.popleft()
            self.records -= old_records
            self.errors -= old_errors

    @property
    def failing(self) -> bool:
        return self.in_a_row >= IN_A_ROW or (self.records >= WINDOW and 2 * self.errors > self.records)

    @property
    def over(self) -> bool:
        return self.clean_in_a_row >= CLEAN_IN_A_ROW or (self.records >= WINDOW and 10 * self.errors <= self.records)


class FailureDetector:
    """Watches the filters of one subscription, or its projections; owned by the ingest loop's thread."""

    def __init__(
        self, counts: Mapping[str, ErrorCounts], names: Mapping[str, Iterable[str]], previous_detail: str = ""
    ) -> None:
        """Continue the problem with the stored `previous_detail`, if `names` still has what failed, by topic."""
        self._counts = counts
        self._counted = {topic: one.errors for topic, one in counts.items()}
        self._recent: dict[str, _Recent] = {}
        self._failing = {
            topic
            for topic, failed in names.items()
            if any(previous_detail.startswith(f"{topic}: {name}: ") for name in failed)
        }
        self._recent.update({topic: _Recent() for topic in self._failing})

    @property
    def failing(self) -> bool:
        """Whether those of any topic are failing."""
        return bool(self._failing)

    def add_poll(self, topic: str, records: int) -> str | None:
        """Add a poll. Return the detail of the problem to begin or update, "" when it ends now, None for no change."""
        counted = self._counts[topic].errors
        errors = counted - self._counted[topic]
        if not errors and topic not in self._recent:
            return None
        self._counted[topic] = counted
        recent = self._recent.setdefault(topic, _Recent())
        recent.add(records, min(errors, records))
        if errors and (topic in self._failing or recent.failing):
            self._failing.add(topic)
            count = f"{recent.errors:,} of the last {recent.records:,} records"
            return f"{topic}: {self._counts[topic].last_error} ({count})"
        return self._check_end(topic, recent)

    def _check_end(self, topic: str, recent: _Recent) -> str | None:
        if not recent.over:
            return None
        was_failing = topic in self._failing
        self._failing.discard(topic)
        if not recent.errors:
            del self._recent[topic]
        return "" if was_failing and not self._failing else None
