"""Celery countdowns by the shared clock: the header that a publisher adds to a task, and how a consumer reads it.

In addition to Celery's own ETA (a wall-clock time, which Flower shows) a task has a header with a RetryCountdown
(flow/dispatch/retry_countdown.py). The consumer sets the ETA from that header before Celery gives the task to its
timer. `celery inspect scheduled` shows the result.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from celery.worker.request import Request

from webhookd.flow.dispatch.retry_countdown import RetryCountdown
from workers.coordination_clock import CoordinationClock

HEADER = "webhookd_countdown"


def countdown(wait_s: float, clock: CoordinationClock) -> dict[str, Any]:
    """Return the publish options of a task that waits for `wait_s`."""
    return {"countdown": wait_s, "headers": {HEADER: RetryCountdown.of(wait_s, clock.now()).to_wire()}}


def request_kind(clock: CoordinationClock) -> type[Any]:
    """Return the class of a received task. Without the header a task keeps Celery's own ETA."""

    class CountedRequest(Request):  # type: ignore[misc]  # Celery has no types
        """A received task that waits for the rest of its countdown."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Celery's
            super().__init__(*args, **options)
            found = RetryCountdown.from_wire(self.request_dict.get(HEADER))
            if found is not None and self.eta is not None:
                self._eta = datetime.now(UTC) + timedelta(seconds=found.left_s(clock.now()))

    return CountedRequest
