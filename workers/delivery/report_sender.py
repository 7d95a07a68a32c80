"""Sends the reports of a worker process to the ingest processes: one thread, and one call for all waiting reports.

Every 50 ms the thread also reports how far the open senders have got, which renews their leases. About every 100 ms it
asks the coordination store whether their epochs are still current. A sender that runs for longer than the limits allow
was lost by the exchange loop. The thread stops its reports, so that its lease runs out.

A final report is sent at once, and the task waits until it is sent. So a task is acknowledged only after its reports.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from threading import Condition, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import VERIFICATION_KINDS, Report
from webhookd.flow.attempt.judge import RetryAt
from webhookd.flow.batching.batch import encode_batches
from webhookd.flow.dispatch.coordination import ReportFlush, payload_key
from webhookd.flow.dispatch.request_quota import UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.metrics.catalogue.worker import DELIVERIES_ENDED
from workers.delivery.delivery_sender import DeliverySender

PROGRESS_INTERVAL_S = 0.05
EPOCH_INTERVAL_S = 0.1
HEARTBEAT_S = 1.0
"""A sender that waits for a slow response is reported this often even without progress; far shorter than the lease."""

RETRY_INTERVAL_S = 0.2

_log = logs.get(__name__)


class ReportChannel(Protocol):
    """The part of the coordination store that takes reports and holds the current epochs."""

    def send_reports(self, flush: ReportFlush) -> None:
        """Write the reports and payloads of a flush in one step. Raises QueueUnavailable."""

    def are_current(self, refs: Sequence[DeliveryRef]) -> list[bool]:
        """Whether each delivery is still the one that its lanes wait for. Raises QueueUnavailable."""


@dataclass(slots=True)
class _OpenSender:
    sender: DeliverySender
    started_at: float
    reported_at: float
    reported_done: int = 0


@dataclass(slots=True, kw_only=True)
class _FinalReport:
    """The last report of one attempt. `sent` is called once, with whether the report reached ingest.

    `sender` is None if no request was sent.
    """

    ref: DeliveryRef
    report: Report
    keep: dict[str, bytes] = field(default_factory=dict)
    permit: UsedPermit | None = None
    give_up_at: float
    sent: Callable[[bool], None]
    sender: DeliverySender | None = None

    @property
    def ends_delivery(self) -> bool:
        """Whether it is about a delivery, and this worker has not counted its end: a lost sender may end later."""
        return self.report.kind not in VERIFICATION_KINDS and not (self.sender is not None and self.sender.lost)


class ReportSender:
    """Started once for each worker process. Any thread may call its public methods."""

    def __init__(
        self, coordination: ReportChannel, *, monotonic: Monotonic, lease_s: float, lost_after_s: float
    ) -> None:
        self._coordination = coordination
        self._monotonic = monotonic
        self._lease_s = lease_s
        self._lost_after_s = lost_after_s
        self._changed = Condition()
        self._open: dict[str, _OpenSender] = {}
        self._finals: list[_FinalReport] = []
        self._unclaimed: list[tuple[DeliveryRef, Report]] = []
        self._stopping = False
        self._ended = False
        self._give_up_by = inf
        self._epochs_checked_at = 0.0
        self._thread = Thread(target=self._run, name="report-sender", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Send what is waiting and end the thread; blocks for at most `budget_s`, then gives up what is not sent."""
        with self._changed:
            self._stopping = True
            self._give_up_by = self._monotonic() + budget_s
            self._changed.notify()
        self._thread.join(budget_s)

    def sender_started(self, sender: DeliverySender) -> None:
        """Report the progress of a sender that is about to be submitted, and check its epochs."""
        with self._changed:
            idle, now = not self._open, self._monotonic()
            self._open[sender.ref.id] = _OpenSender(sender, started_at=now, reported_at=now)
            if idle:
                self._changed.notify()

    def sender_ended(self, sender: DeliverySender, sent: Callable[[bool], None]) -> None:
        """Send the final report of a sender; `sent` is called on the report sender's thread."""
        keep = {}
        if isinstance(sender.verdict, RetryAt):
            key = payload_key(sender.ref.id, sender.ref.attempt + 1)
            keep[key] = encode_batches([sender.batches[sender.done]])
        self.send_final(sender.ref, sender.report(), sent, keep, sender.used_permit(), sender)

    def send_final(
        self,
        ref: DeliveryRef,
        report: Report,
        sent: Callable[[bool], None],
        keep: dict[str, bytes] | None = None,
        permit: UsedPermit | None = None,
        sender: DeliverySender | None = None,
    ) -> None:
        """Send the last report of an attempt; `keep` holds payloads to store with it, `permit` is given back.

        After `stop` nothing is sent, `sent` is called with False at once, and the lease of the delivery runs out.
        """
        final = _FinalReport(
            ref=ref,
            report=report,
            keep=keep or {},
            permit=permit,
            give_up_at=self._monotonic() + self._lease_s,
            sent=sent,
            sender=sender,
        )
        with self._changed:
            self._open.pop(ref.id, None)
            if not self._ended:
                self._finals.append(final)
                self._changed.notify()
                return
        _call_back([final], reached=False)

    def send_unclaimed(self, ref: DeliveryRef, report: Report) -> None:
        """Send a report about a delivery that is not claimed; returns at once. While Redis is down it is lost."""
        with self._changed:
            self._unclaimed.append((ref, report))
            self._changed.notify()

    def stop_senders(self) -> None:
        """End every open sender after its current request."""
        with self._changed:
            for entry in self._open.values():
                entry.sender.stopped = True

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._finals and not self._unclaimed and not self._stopping:
                    self._changed.wait(PROGRESS_INTERVAL_S if self._open else None)
                finals, self._finals = self._finals, []
                unclaimed, self._unclaimed = self._unclaimed, []
                now = self._monotonic()
                self._drop_lost(now)
                open_senders = list(self._open.values())
                if self._stopping and not finals and not unclaimed:
                    self._ended = True
                    return
            try:
                # First the epochs: a report renews the lease, also that of a process that was frozen for long.
                self._check_epochs([entry.sender for entry in open_senders])
                self._send(finals, unclaimed, open_senders, now)
                finals = []
            except QueueUnavailable as error:
                self._keep(finals, error)
            except Exception:  # noqa: BLE001 - the top of the thread: a bug must not leave every task waiting
                _log.exception("report_failed", deliveries=[final.ref.id for final in finals])
                _call_back(finals, reached=False)

    def _drop_lost(self, now: float) -> None:
        """Stop and log the senders that the exchange loop has lost; they are not reported any more."""
        for entry in [entry for entry in self._open.values() if now - entry.started_at >= self._lost_after_s]:
            ref = self._open.pop(entry.sender.ref.id).sender.ref
            entry.sender.stopped = entry.sender.lost = True
            DELIVERIES_ENDED.inc("lost")
            _log.error(
                "delivery_sender_lost", code="delivery_sender_lost", delivery=ref.id, subscription=ref.subscription
            )

    def _send(
        self,
        finals: list[_FinalReport],
        unclaimed: list[tuple[DeliveryRef, Report]],
        open_senders: list[_OpenSender],
        now: float,
    ) -> None:
        reports: defaultdict[str, list[Report]] = defaultdict(list)
        reported = []
        for final in finals:
            reports[final.ref.reply_to].append(final.report)
        for ref, report in unclaimed:
            reports[ref.reply_to].append(report)
        for entry in open_senders:
            if entry.sender.done != entry.reported_done or now - entry.reported_at >= HEARTBEAT_S:
                report = entry.sender.progress()
                reports[entry.sender.ref.reply_to].append(report)
                reported.append((entry, report.done))
        if not reports:
            return
        self._coordination.send_reports(
            ReportFlush(
                reports=reports,
                payloads_to_delete=[payload_key(final.ref.id, final.ref.attempt) for final in finals],
                payloads_to_store={key: payload for final in finals for key, payload in final.keep.items()},
                permits=[final.permit for final in finals if final.permit is not None],
            )
        )
        for entry, done in reported:
            entry.reported_done, entry.reported_at = done, now
            entry.sender.lease_end = now + self._lease_s
        _call_back(finals, reached=True)

    def _check_epochs(self, senders: list[DeliverySender]) -> None:
        """Stop the senders whose lanes have a new epoch."""
        now = self._monotonic()
        if not senders or now - self._epochs_checked_at < EPOCH_INTERVAL_S:
            return
        self._epochs_checked_at = now
        answers = self._coordination.are_current([sender.ref for sender in senders])
        for sender, current in zip(senders, answers, strict=True):
            if not current:
                sender.stopped = True

    def _keep(self, finals: list[_FinalReport], error: QueueUnavailable) -> None:
        """Keep the reports that could not be sent for the next attempt; give up those that have waited for too long."""
        now = self._monotonic()
        kept = [final for final in finals if now < min(final.give_up_at, self._give_up_by)]
        lost = [final for final in finals if now >= min(final.give_up_at, self._give_up_by)]
        _log.warning("reports_delayed", code=error.code, detail=error.detail, waiting=len(finals), given_up=len(lost))
        _call_back(lost, reached=False)
        with self._changed:
            self._finals[:0] = kept
            self._changed.wait(RETRY_INTERVAL_S)


def _call_back(finals: list[_FinalReport], *, reached: bool) -> None:
    for final in finals:
        final.sent(reached)  # first: whatever happens to the metrics, the task must not wait
        if final.ends_delivery:
            DELIVERIES_ENDED.inc(final.report.kind.code if reached else "unreported")
