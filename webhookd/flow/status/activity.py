"""The activity log of a subscription, which its owner reads in `recent_activity`."""

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """The kind of an entry: a call, or a change of the status."""

    API_CALL = "api_call"
    ACTIVE = "active"
    INACTIVE = "inactive"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One row of the activity log: one call, the `calls` successful calls of one second, or a change of the status.

    `at` is seconds since the epoch. Header values in `request_headers` are already masked. `error` is the failure code,
    or the reason of a status change. `detail` explains it; the text is webhookd's or its operators', never the
    endpoint's.
    """

    subscription_id: str
    at: float
    event: Event
    succeeded: bool = True
    calls: int = 1
    request: str = ""
    request_headers: tuple[str, ...] = ()
    response_code: int | None = None
    response_body: str = ""
    response_headers: tuple[str, ...] = ()
    error: str = ""
    detail: str = ""
