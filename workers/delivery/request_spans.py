"""What a delivery's sender tells about its requests, if the delivery is traced."""

from typing import Protocol

from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.batching.batch import Batch


class RequestSpans(Protocol):
    """The spans of the requests of one delivery; `begin` and `end` alternate."""

    def begin(self, batch: Batch, *, at: float, attempt: int) -> bytes:
        """Begin the span of a request, before it is sent; returns the header lines of its trace context."""

    def end(self, outcome: Outcome, *, acknowledged: bool) -> None:
        """End that span."""
