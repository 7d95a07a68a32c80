"""What came of publishing a file, and how far it is."""

from dataclasses import dataclass
from typing import NamedTuple

from webhookd_load_test.records.sender import Refusal


class PublishProgress(NamedTuple):
    """How far it is: `acknowledged` includes earlier runs, `late_ms` is that of the last record."""

    acknowledged: int
    refused: int
    late_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSummary:
    """What came of a run. Rows that are in no count of it were not handed over.

    before          acknowledged by earlier runs
    published       acknowledged by this run
    refused         by Kafka; `refusals` has the first of them
    sent            handed over by this run
    unanswered      of those: no answer, may be in Kafka: a run that goes on publishes them again
    started_ns      when this run began
    ended_ns        when the last acknowledgement came
    failure         why it ended before the end of the file, when that was not a stop; empty otherwise
    """

    rows: int
    before: int
    published: int
    refused: int
    refusals: list[Refusal]
    sent: int
    unanswered: int
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    started_ns: int
    ended_ns: int
    failure: str

    @property
    def acknowledged(self) -> int:
        """How many rows Kafka has, those of earlier runs included."""
        return self.before + self.published

    @property
    def complete(self) -> bool:
        """Whether Kafka has all rows."""
        return self.acknowledged == self.rows
