"""The dead letters of a batch that is given up: read back out of the body it was rendered in."""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.envelope_reader import records_of
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.offsets.position import Partition

DETAIL_CHARACTERS = 500
"""Of the endpoint's answer, or of what webhookd says where there was none, kept with each record."""

WORKER_LOST = "worker_lost"
"""The batch cost its workers their lives: nobody reported, so there is no answer to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhaustedBatch:
    """A batch that is to be put aside, and why; `failure` is None when nobody reported."""

    delivery: Delivery
    batch: Batch
    failure: LoggedExchange | None
    attempts: int

    def dead_letters(self) -> Sequence[DeadLetter]:
        """A dead letter for each of its records, in their order."""
        cause = self.failure.error if self.failure else WORKER_LOST
        detail = _words(self.failure)[:DETAIL_CHARACTERS] if self.failure else ""
        status = self.failure.status or None if self.failure else None
        return [
            DeadLetter(
                subscription_id=self.delivery.subscription_id,
                partition=Partition(record.topic, record.partition),
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                key=record.key,
                value=record.value,
                headers=record.headers,
                cause=cause,
                detail=detail,
                status=status,
                attempts=self.attempts,
            )
            for record in records_of(self.batch.body)
        ]


def _words(failure: LoggedExchange) -> str:
    return failure.detail or failure.body.decode(errors="replace")
