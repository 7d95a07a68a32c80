"""Celery's countdowns, told by the board's clock: what a publisher adds to a task, and what a consumer makes of it.

Beside Celery's own time of day (for people, in Flower) a task carries flow/dispatch/retry_countdown.py as a header.
The consumer's request sets its time by that, before Celery gives it to the timer; `celery inspect scheduled` shows the
result.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from celery.worker.request import Request

from webhookd.flow.dispatch.retry_countdown import RetryCountdown
from workers.coordination_clock import CoordinationClock

HEADER = "webhookd_countdown"


def countdown(wait_s: float, clock: CoordinationClock) -> dict[str, Any]:
    """The options of a task that is to wait."""
    return {"countdown": wait_s, "headers": {HEADER: RetryCountdown.of(wait_s, clock.now()).to_wire()}}


def request_kind(clock: CoordinationClock) -> type[Any]:
    """What a consumer makes of a task it has received; one without our header is as Celery has it."""

    class CountedRequest(Request):  # type: ignore[misc]  # Celery has no types
        """A task that waits for what is left of its countdown."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Celery's
            super().__init__(*args, **options)
            found = RetryCountdown.from_wire(self.request_dict.get(HEADER))
            if found is not None and self.eta is not None:
                self._eta = datetime.now(UTC) + timedelta(seconds=found.left_s(clock.now()))

    return CountedRequest
