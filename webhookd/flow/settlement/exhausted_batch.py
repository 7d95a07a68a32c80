"""A batch without an attempt left, and its dead letters, which are read back from its rendered body."""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.response_body import text_of
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.envelope_reader import records_of
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.offsets.position import Partition

DETAIL_CHARACTERS = 500
"""The length of the text in each dead letter: of the endpoint's response, or of webhookd's text if there is none."""

WORKER_LOST = "worker_lost"
"""The cause if the workers that sent the batch were lost. No report has arrived, so there is no response to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhaustedBatch:
    """A batch that is to be dead-lettered, and its last failure; `failure` is None when its workers were lost."""

    delivery: Delivery
    batch: Batch
    failure: LoggedExchange | None
    attempts: int

    def dead_letters(self) -> Sequence[DeadLetter]:
        """A dead letter for each record of the batch, in order."""
        cause = self.failure.error if self.failure else WORKER_LOST
        detail = _explanation(self.failure)[:DETAIL_CHARACTERS] if self.failure else ""
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


def _explanation(failure: LoggedExchange) -> str:
    return failure.detail or text_of(failure.head, failure.body)
