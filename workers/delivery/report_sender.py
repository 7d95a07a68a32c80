"""Brings the reports of a worker process to their ingest processes: one thread, one flush for everything that waits.

Every 50 ms of sending it adds how far the open errands got, which renews their leases, and about every 100 ms it asks
the board whether their epochs still hold. An errand that is older than any can be was lost by the exchange loop: it is
reported no more, so that its lease runs out. An end is flushed at once, and its task waits for that: the report comes
before the acknowledgement of the task.
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
from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.attempt.judge import RetryAt
from webhookd.flow.batching.batch import encode_batches
from webhookd.flow.dispatch.coordination import ReportFlush, payload_key
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import DeliverySender

PROGRESS_INTERVAL_S = 0.05
EPOCH_INTERVAL_S = 0.1
HEARTBEAT_S = 1.0
"""An errand that waits for a slow answer is reported so often all the same; far below the lease."""

RETRY_FLUSH_S = 0.2

_log = logs.get(__name__)


class ReportChannel(Protocol):
    """What takes the reports, and knows which epochs hold."""

    def flush(self, flush: ReportFlush) -> None:
        """Hand over in one step. Raises QueueUnavailable."""

    def current(self, refs: Sequence[DeliveryRef]) -> list[bool]:
        """Whether each delivery is still the one its lanes wait for. Raises QueueUnavailable."""


@dataclass(slots=True)
class _Open:
    sender: DeliverySender
    opened_at: float
    told_at: float
    told_done: int = 0


@dataclass(slots=True, kw_only=True)
class _Final:
    """The end of one attempt, on its way to ingest; `flushed` hears whether it got there."""

    ref: DeliveryRef
    report: Report
    keep: dict[str, bytes] = field(default_factory=dict)
    give_up_at: float
    flushed: Callable[[bool], None]


class ReportSender:
    """Started once per worker process; every method but the thread's own may be called from any thread."""

    def __init__(self, coordination: ReportChannel, *, monotonic: Monotonic, lease_s: float, longest_s: float) -> None:
        self._coordination = coordination
        self._monotonic = monotonic
        self._lease_s = lease_s
        self._longest_s = longest_s
        self._changed = Condition()
        self._open: dict[str, _Open] = {}
        self._finals: list[_Final] = []
        self._stopping = False
        self._over = False
        self._give_up_by = inf
        self._epochs_at = 0.0
        self._thread = Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to flush."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Flush what waits and end; blocks for at most `budget_s`, and gives up what has not reached the board then."""
        with self._changed:
            self._stopping = True
            self._give_up_by = self._monotonic() + budget_s
            self._changed.notify()
        self._thread.join(budget_s)

    def opened(self, sender: DeliverySender) -> None:
        """The errand is about to be submitted: report its progress and watch its epochs."""
        with self._changed:
            idle, now = not self._open, self._monotonic()
            self._open[sender.ref.id] = _Open(sender, opened_at=now, told_at=now)
            if idle:
                self._changed.notify()

    def ended(self, sender: DeliverySender, flushed: Callable[[bool], None]) -> None:
        """The errand came to its end; `flushed` is called on the reporter's thread."""
        keep = {}
        if isinstance(sender.verdict, RetryAt):
            key = payload_key(sender.ref.id, sender.ref.attempt + 1)
            keep[key] = encode_batches([sender.batches[sender.done]])
        self.tell(sender.ref, sender.report(), flushed, keep)

    def tell(
        self, ref: DeliveryRef, report: Report, flushed: Callable[[bool], None], keep: dict[str, bytes] | None = None
    ) -> None:
        """Send the last report of an attempt; after `stop` it reaches nobody, and its lease runs out."""
        final = _Final(
            ref=ref,
            report=report,
            keep=keep or {},
            give_up_at=self._monotonic() + self._lease_s,
            flushed=flushed,
        )
        with self._changed:
            self._open.pop(ref.id, None)
            if not self._over:
                self._finals.append(final)
                self._changed.notify()
                return
        _answer([final], reached=False)

    def stop_all(self) -> None:
        """Let every open errand end after the request under way (drain)."""
        with self._changed:
            for entry in self._open.values():
                entry.sender.stopped = True

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._finals and not self._stopping:
                    self._changed.wait(PROGRESS_INTERVAL_S if self._open else None)
                finals, self._finals = self._finals, []
                now = self._monotonic()
                self._drop_lost(now)
                open_senders = list(self._open.values())
                if self._stopping and not finals:
                    self._over = True
                    return
            try:
                self._flush(finals, open_senders, now)
                finals = []
                self._check_epochs([entry.sender for entry in open_senders])
            except QueueUnavailable as error:
                self._keep(finals, error)
            except Exception:  # noqa: BLE001 - the top of the thread: a bug must not leave every task waiting
                _log.exception("report_failed", deliveries=[final.ref.id for final in finals])
                _answer(finals, reached=False)

    def _drop_lost(self, now: float) -> None:
        for entry in [entry for entry in self._open.values() if now - entry.opened_at >= self._longest_s]:
            ref = self._open.pop(entry.sender.ref.id).sender.ref
            entry.sender.stopped = True
            _log.error("errand_lost", code="errand_lost", delivery=ref.id, subscription=ref.subscription)

    def _flush(self, finals: list[_Final], open_senders: list[_Open], now: float) -> None:
        reports: defaultdict[str, list[Report]] = defaultdict(list)
        told = []
        for final in finals:
            reports[final.ref.reply_to].append(final.report)
        for entry in open_senders:
            if entry.sender.done != entry.told_done or now - entry.told_at >= HEARTBEAT_S:
                report = entry.sender.progress()
                reports[entry.sender.ref.reply_to].append(report)
                told.append((entry, report.done))
        if not reports:
            return
        self._coordination.flush(
            ReportFlush(
                reports=reports,
                drop=[payload_key(final.ref.id, final.ref.attempt) for final in finals],
                keep={key: payload for final in finals for key, payload in final.keep.items()},
            )
        )
        for entry, done in told:
            entry.told_done, entry.told_at = done, now
            entry.sender.lease_end = now + self._lease_s
        _answer(finals, reached=True)

    def _check_epochs(self, senders: list[DeliverySender]) -> None:
        now = self._monotonic()
        if not senders or now - self._epochs_at < EPOCH_INTERVAL_S:
            return
        self._epochs_at = now
        for sender, current in zip(senders, self._coordination.current([e.ref for e in senders]), strict=True):
            if not current:
                sender.stopped = True

    def _keep(self, finals: list[_Final], error: QueueUnavailable) -> None:
        now = self._monotonic()
        kept = [final for final in finals if now < min(final.give_up_at, self._give_up_by)]
        lost = [final for final in finals if now >= min(final.give_up_at, self._give_up_by)]
        _log.warning("reports_delayed", code=error.code, detail=error.detail, waiting=len(finals), given_up=len(lost))
        _answer(lost, reached=False)
        with self._changed:
            self._finals[:0] = kept
            self._changed.wait(RETRY_FLUSH_S)


def _answer(finals: list[_Final], *, reached: bool) -> None:
    for final in finals:
        final.flushed(reached)
