"""What a delivery's sender tells about its requests, beside its reports."""

from dataclasses import dataclass

from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.request_spans import RequestSpans


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestObservers:
    """The spans of one delivery, None if it is not traced; and the tally of the process, None if nothing is counted."""

    spans: RequestSpans | None = None
    tally: AttemptTally | None = None


NOBODY = RequestObservers()
