"""What happened to a subscription lately, as its owner reads it in `recent_activity`."""

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """A call, or a change of the status with its reason."""

    API_CALL = "api_call"
    ACTIVE = "active"
    INACTIVE = "inactive"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One row of the activity log: a call (or `calls` successful ones folded into a second) or a state change.

    `at` is seconds since the epoch. Header values in `request_headers` are masked before they get here.
    `error` is the failure's code, or the reason of a state change; `detail` says more about it in webhookd's own words
    (or its operators'), never the endpoint's.
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
