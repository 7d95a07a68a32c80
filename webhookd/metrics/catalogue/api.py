"""The metrics of the API; they count over all of its worker processes."""

from typing import Final

from webhookd.metrics.catalogue.buckets import CALL_S
from webhookd.metrics.declaration import Counter, Gauge, Histogram, Process

_API: Final = frozenset({Process.API})

API_REQUESTS: Final = Counter(
    "webhookd_api_requests_total",
    "Requests that the application answered, by `operation` (the operation id of the OpenAPI document; `unknown` for "
    "other URLs and methods, and for the pages of the documentation) and HTTP `status`.",
    labels=("operation", "status"),
    processes=_API,
)
API_REQUEST_DURATION: Final = Histogram(
    "webhookd_api_request_duration_seconds",
    "How long the application worked on a request; what a client takes to send it and to read the answer is not in it.",
    labels=("operation",),
    buckets=CALL_S,
    processes=_API,
)
API_REQUESTS_OPEN: Final = Gauge(
    "webhookd_api_requests_open", "Requests that the application works on.", processes=_API
)
API_REQUESTS_REFUSED: Final = Counter(
    "webhookd_api_requests_refused_total",
    "Requests refused before they reached the application (malformed, too large, too slow, overloaded), by HTTP "
    "`status`; with 500 those whose answer could not be made.",
    labels=("status",),
    processes=_API,
)

API: Final = (API_REQUESTS, API_REQUEST_DURATION, API_REQUESTS_OPEN, API_REQUESTS_REFUSED)
