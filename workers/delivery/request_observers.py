"""What learns of the requests of one delivery."""

from dataclasses import dataclass

from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.request_spans import RequestSpans


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestObservers:
    """Its spans, and what counts its attempts; None if it is not traced, or nothing is counted."""

    spans: RequestSpans | None = None
    tally: AttemptTally | None = None


NO_OBSERVERS = RequestObservers()
