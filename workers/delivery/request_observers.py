"""What learns of the requests of one delivery."""

from dataclasses import dataclass
from typing import Protocol

from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.batching.batch import Batch
from workers.delivery.attempt_tally import AttemptTally


class RequestSpans(Protocol):
    """The spans of the requests of one delivery; `begin` and `end` alternate."""

    def begin(self, batch: Batch, *, at: float, attempt: int) -> bytes:
        """Begin the span of a request, before it is sent; returns the header lines of its trace context."""

    def end(self, outcome: Outcome, *, acknowledged: bool) -> None:
        """End that span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestObservers:
    """Its spans, and what counts its attempts; None if it is not traced, or nothing is counted."""

    spans: RequestSpans | None = None
    tally: AttemptTally | None = None


NO_OBSERVERS = RequestObservers()
