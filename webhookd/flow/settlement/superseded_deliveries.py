"""Deliveries that no lane waits for any more, and that a worker may still be sending.

A lane drops its delivery when its subscription gets a new version or is stopped. The claim of the lane is revoked then,
so that no worker claims the delivery any more. A worker that has claimed it before notices within about 100 ms and ends
after its current request. Its claim and its progress are reported as before:

report                                      the delivery
STARTED, PROGRESS                           may be sent until the lease and one request deadline after the report
any other                                   has ended. A retry cannot be claimed: its lanes have another epoch
none                                        has ended when the lease and the deadline are over
"""

from math import inf

from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage

_UNDER_WAY = frozenset({ReportKind.STARTED, ReportKind.PROGRESS})


class SupersededDeliveries:
    """Owned by the ingest loop's thread. `silent_s` is the lease plus the request deadline; times are monotonic."""

    def __init__(self, silent_s: float) -> None:
        self._silent_s = silent_s
        self._ends_by: dict[str, tuple[int, float]] = {}

    def add(self, delivery: Delivery, now: float) -> None:
        """Keep a delivery that its lanes have dropped, if a worker has claimed it."""
        if delivery.stage is DeliveryStage.CLAIMED:
            due_at = delivery.due_at if delivery.due_at > -inf else now + self._silent_s
            self._ends_by[delivery.id] = delivery.attempt, due_at

    def reported(self, report: Report, now: float) -> None:
        """Apply a report about a delivery that is not in flight any more."""
        attempt, _ = self._ends_by.get(report.delivery, (0, 0.0))
        if report.attempt < attempt:
            return
        if report.kind in _UNDER_WAY:
            self._ends_by[report.delivery] = report.attempt, now + self._silent_s
        else:
            self._ends_by.pop(report.delivery, None)

    def under_way(self, now: float) -> frozenset[str]:
        """The ids of those that a worker may still be sending."""
        self._ends_by = {id_: entry for id_, entry in self._ends_by.items() if entry[1] > now}
        return frozenset(self._ends_by)

    def process_was_suspended(self, for_s: float) -> None:
        """Extend all timeouts by the time for which this process did not run."""
        self._ends_by = {id_: (attempt, at + for_s) for id_, (attempt, at) in self._ends_by.items()}
