"""Deliveries that no lane waits for any more, and that a worker may still be sending.

A lane drops its delivery when its subscription gets a new version or is stopped. The claim of the lane is revoked then,
so that no worker claims the delivery any more. A worker that has claimed it before notices within about 100 ms and ends
after its current request. Its claim and its progress are reported as before. So it is with a delivery that an earlier
owner of the subscription has published, but its reports do not come here:

report                                      the delivery
STARTED, PROGRESS                           may be sent until the lease and one request deadline after the report
STALE, UNREADABLE, UNUSABLE, WAITING        is as before: a second copy of its task was not claimed
any other                                   has ended. A retry cannot be claimed: its lanes have another epoch
none                                        has ended when the lease and the deadline are over
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.destination import LONGEST_TIMEOUT_S
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage

_UNDER_WAY = frozenset({ReportKind.STARTED, ReportKind.PROGRESS})
_OF_A_COPY = frozenset({ReportKind.STALE, ReportKind.UNREADABLE, ReportKind.UNUSABLE, ReportKind.WAITING})


@dataclass(frozen=True, slots=True)
class _Entry:
    attempt: int
    ends_by: float
    silent_s: float


class SupersededDeliveries:
    """Owned by the ingest loop's thread; times are monotonic.

    `silent_s` returns the lease plus the request deadline, from the timeout of the subscription. Of a delivery that a
    worker claims only after it was dropped the timeout is not known any more: the longest one counts.
    """

    def __init__(self, silent_s: Callable[[float | None], float]) -> None:
        self._silent_s = silent_s
        self._longest_s = max(silent_s(None), silent_s(LONGEST_TIMEOUT_S))
        self._entries: dict[str, _Entry] = {}

    def add(self, delivery: Delivery, now: float) -> None:
        """Keep a delivery that its lanes have dropped, if a worker has claimed it."""
        if delivery.stage is DeliveryStage.CLAIMED:
            silent_s = self._silent_s(delivery.timeout_s)
            ends_by = delivery.due_at if delivery.due_at > -inf else now + silent_s
            self._entries[delivery.id] = _Entry(delivery.attempt, ends_by, silent_s)

    def add_claimed(self, ids: Sequence[str], now: float) -> None:
        """Keep deliveries that another process has published and workers have claimed; their reports go to it.

        The timeouts under which they were claimed are not known here.
        """
        for id_ in ids:
            self._entries.setdefault(id_, _Entry(0, now + self._longest_s, self._longest_s))

    def reported(self, report: Report, now: float) -> None:
        """Apply a report about a delivery that is not in flight any more."""
        entry = self._entries.get(report.delivery)
        if report.kind in _OF_A_COPY or (entry is not None and report.attempt < entry.attempt):
            return
        if report.kind in _UNDER_WAY:
            silent_s = entry.silent_s if entry else self._longest_s
            self._entries[report.delivery] = _Entry(report.attempt, now + silent_s, silent_s)
        else:
            self._entries.pop(report.delivery, None)

    def under_way(self, now: float) -> frozenset[str]:
        """The ids of those that a worker may still be sending."""
        self._entries = {id_: entry for id_, entry in self._entries.items() if entry.ends_by > now}
        return frozenset(self._entries)

    def process_was_suspended(self, for_s: float) -> None:
        """Extend all timeouts by the time for which this process did not run."""
        self._entries = {id_: replace(entry, ends_by=entry.ends_by + for_s) for id_, entry in self._entries.items()}
