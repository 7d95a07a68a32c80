"""Works on one task: looks up, claims, sends and reports its deliveries, and publishes retries of failed batches.

The order of steps, and the effect of a crash after each of them:

    0. read the switch     while webhookd is offline, every delivery is reported as stale and dropped
    1. look up templates   nothing is claimed yet: the task is delivered to another worker. While the database is
                           down, the deliveries whose template is not in memory are published again, each alone
    2. claim               the lease runs from here on: when it has run out, ingest dispatches again what is not
                           settled. A delivery whose quota is used up is not claimed, but published again for later.
                           Ingest is told if that is more than a moment; otherwise it would publish a second copy
    3. send                likewise; what was acknowledged and not reported is sent twice
    4. report              likewise; the retry's payload is stored in the same step
    5. publish the retry   likewise, if the retry is lost
    6. acknowledge the     a second copy of the task finds the delivery claimed and does nothing
       task

A task that may stay open takes further deliveries before step 6 (flow/dispatch/delivery_session.py). For these the
steps are the same. What ingest pushes to a worker that has died is not claimed, and ingest publishes it as a task.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Protocol

import msgspec
from celery.exceptions import Reject

from webhookd import logs
from webhookd.errors import QueueUnavailable, SecretsUnreadable, StoreUnavailable, Unavailable, UnusableSubscription
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.judge import RetryAt
from webhookd.flow.batching.batch import decode_batches
from webhookd.flow.batching.trace_headers import trace_id_of
from webhookd.flow.dispatch.coordination import ClaimAnswer, ClaimDenied
from webhookd.flow.dispatch.delivery_session import SessionClaim
from webhookd.flow.dispatch.request_quota import (
    HORIZON_S,
    RETRY_HORIZON_S,
    HeldBy,
    NotNow,
    PermitRequest,
    Permitted,
    SendSchedule,
)
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.metrics.catalogue.worker import DELIVERIES_ENDED
from workers.delivery.delivery_observers import DeliveryObservers
from workers.delivery.delivery_sender import DeliverySender, Pacing, RequestTemplate, TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.send_limits import Clocks, SendLimits
from workers.delivery.task_run import Again, Entry, TaskRun
from workers.delivery.worker_sessions import SessionRun, WorkerSessions, session_opened

SPREAD = 0.25
"""The waits of deliveries whose quota is used up are made longer by a random part of this."""

REPORTED_S = 1.0
"""A delivery is reported as waiting for its quota each time that it has waited, or will wait, for so long."""

BACK_OFF_S = 2.0
"""How long a delivery that is not claimed yet waits when the database or Redis is down."""

_log = logs.get(__name__)

PublishRetry = Callable[[DeliveryRef, float], None]
"""Publishes one delivery with a countdown in seconds: retries in the queue for retries, others in their own queue."""


class RequestTemplates(Protocol):
    """The cache of request templates."""

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        """Return what there is for each delivery."""


class TemplateCache(RequestTemplates, Protocol):
    """The cache, with what the task handler needs to know before it may block."""

    def in_memory(self, refs: Sequence[DeliveryRef]) -> bool:
        """Whether `templates` would return without reading the database."""


class Claims(Protocol):
    """The part of the coordination store with which deliveries are claimed."""

    def claim(
        self,
        refs: Sequence[DeliveryRef],
        needed: Sequence[PermitRequest | None] = (),
        session: SessionClaim | None = None,
    ) -> list[ClaimAnswer]:
        """Return the payload of each delivery, or why it is not claimed. Raises QueueUnavailable."""


class Exchanges(Protocol):
    """The exchange loop, which runs the senders."""

    def submit(self, sender: DeliverySender) -> None:
        """Run a sender to its end; returns at once."""

    def submit_later(self, sender: DeliverySender, delay_s: float) -> None:
        """Run a sender on after a delay; called on the loop's thread."""


class Switch(Protocol):
    """The offline switch."""

    @property
    def offline(self) -> bool:
        """Whether nothing may be sent."""


class TaskHandler:
    """Shared by all task threads of a worker process."""

    def __init__(
        self,
        *,
        switch: Switch,
        cache: TemplateCache,
        claims: Claims,
        exchanges: Exchanges,
        report_sender: ReportSender,
        observers: DeliveryObservers,
        limits: SendLimits,
        clocks: Clocks,
    ) -> None:
        self._switch = switch
        self._cache = cache
        self._claims = claims
        self._exchanges = exchanges
        self._report_sender = report_sender
        self._observers = observers
        self._limits = limits
        self._clocks = clocks
        self._read_again_at = -inf

    def deliver(
        self, refs: list[DeliveryRef], publish_retry: PublishRetry, sessions: WorkerSessions | None = None
    ) -> None:
        """Send the deliveries of one task; blocks until each is reported or given up.

        With `sessions` it opens one, and takes further deliveries while that is open. Raises StoreUnavailable (when no
        template can be read) and QueueUnavailable, both before anything is claimed.
        """
        run = TaskRun()
        added = sessions.add(run, self._begin_pushed) if sessions is not None else None
        if sessions is None or added is None:
            self._begin(refs, run, publish_retry, None)
        else:
            self._deliver_in_session(refs, publish_retry, sessions, added)
        while not run.finished:
            entries = run.take(self._limits.lost_after_s)
            if not entries:  # a sender that never ends, by a bug, must not block the thread
                _log.error("delivery_sender_lost", code="delivery_sender_lost")
                return
            self._handle(entries, publish_retry)

    def _deliver_in_session(
        self, refs: list[DeliveryRef], publish_retry: PublishRetry, sessions: WorkerSessions, one: SessionRun
    ) -> None:
        """Work on what has ended until the session is closed; another thread begins what is pushed to it."""
        try:
            if self._begin(refs, one.run, publish_retry, one.session.claim(opens=True)):
                session_opened(one)
                while (wait_s := sessions.close_when_due(one)) is not None:
                    self._handle(one.run.take(wait_s), publish_retry)
        except Unavailable:  # nothing was claimed, so no session was opened
            raise
        except Exception:
            sessions.close_at_once(one)
            raise
        finally:
            sessions.remove(one)

    def _handle(self, entries: Sequence[Entry], publish_retry: PublishRetry) -> None:
        for entry in entries:
            if isinstance(entry, Again):
                _publish_if_possible(publish_retry, entry.ref, entry.wait_s)
            elif callable(entry):
                entry()
            elif entry is not None:
                self._observers.log.ended(entry, trace_id_of(entry.ref.traceparent))
                if isinstance(entry.verdict, RetryAt):
                    _publish_if_possible(publish_retry, _next_attempt(entry), entry.verdict.wait_s)

    def _begin_pushed(self, one: SessionRun, refs: Sequence[DeliveryRef]) -> None:
        """Begin deliveries that were pushed to a session; called by the thread that has taken them from the store."""
        known: list[DeliveryRef] = []
        unread: list[DeliveryRef] = []
        for ref in refs:
            (known if self._cache.in_memory([ref]) else unread).append(ref)
        if unread:
            one.run.call(partial(self._begin_unread, one, unread))
        if known:
            self._begin_pushed_now(one, known)

    def _begin_unread(self, one: SessionRun, refs: Sequence[DeliveryRef]) -> None:
        """Begin pushed deliveries whose templates must be read; called by the thread of the session's task.

        While the database is down it is asked once in BACK_OFF_S: the thread also publishes retries.
        """
        if self._clocks.monotonic() < self._read_again_at:
            _delay(one, refs, StoreUnavailable())
        else:
            self._begin_pushed_now(one, refs)

    def _begin_pushed_now(self, one: SessionRun, refs: Sequence[DeliveryRef]) -> None:
        try:
            self._begin(list(refs), one.run, one.run.publish_again, one.session.claim())
        except StoreUnavailable as error:
            self._read_again_at = self._clocks.monotonic() + BACK_OFF_S
            _delay(one, refs, error)
        except QueueUnavailable as error:  # ingest publishes as tasks what is not claimed
            _log.warning("push_not_claimed", code=error.code, detail=error.detail, deliveries=[ref.id for ref in refs])

    def _begin(
        self, refs: list[DeliveryRef], run: TaskRun, publish_again: PublishRetry, session: SessionClaim | None
    ) -> bool:
        """Look up, claim and submit deliveries, and report those that are not sent; returns whether any was claimed."""
        templates: list[TemplateResult] = [None] * len(refs) if self._switch.offline else self._cache.templates(refs)
        found = list(zip(refs, templates, strict=True))
        sendable = [(ref, template) for ref, template in found if isinstance(template, RequestTemplate)]
        # This comes before the claims: if publishing fails, the whole task goes back to its queue unclaimed.
        _publish_unread_again(found, publish_again)
        self._report_stale([ref for ref, template in found if template is None], run)
        self._report_unable(found, run)
        if not sendable:
            return False
        claimed_at = self._clocks.monotonic()
        answers = self._claims.claim([ref for ref, _ in sendable], self._needed(sendable), session)
        submitted = self._submit(sendable, answers, claimed_at, run)
        self._publish_later(sendable, answers, publish_again)
        return submitted

    def _needed(self, sendable: list[tuple[DeliveryRef, RequestTemplate]]) -> Sequence[PermitRequest | None]:
        """The permit that each delivery needs; empty if none needs one. It lasts as long as the lease may."""
        if not any(template.quotas for _, template in sendable):
            return ()
        limits = self._limits
        return [
            PermitRequest(
                quotas=template.quotas,
                lasts_s=limits.lease_s + _open_s(template, limits),
                horizon_s=RETRY_HORIZON_S if ref.attempt or ref.probe else HORIZON_S,
            )
            if template.quotas
            else None
            for ref, template in sendable
        ]

    def _publish_later(
        self,
        sendable: list[tuple[DeliveryRef, RequestTemplate]],
        answers: list[ClaimAnswer],
        publish_retry: PublishRetry,
    ) -> None:
        """Publish again, unchanged, the deliveries whose quota is used up; they do not all come back at once."""
        for (ref, _), answer in zip(sendable, answers, strict=True):
            if isinstance(answer, NotNow):
                _log.debug("delivery_paced", delivery=ref.id, subscription=ref.subscription, wait_s=answer.wait_s)
                DELIVERIES_ENDED.inc("waiting")
                wait_s = answer.wait_s * (1.0 + SPREAD * self._clocks.chance())
                publish_retry(self._report_wait(ref, wait_s, answer.held_by), wait_s)

    def _report_wait(self, ref: DeliveryRef, wait_s: float, held_by: HeldBy) -> DeliveryRef:
        """Report the wait if it is long together with those before it; returns the reference to publish."""
        unreported_s = ref.unreported_s + wait_s
        if unreported_s >= REPORTED_S:
            report = Report(ReportKind.WAITING, ref.id, ref.attempt, wait_s=wait_s, detail=held_by)
            self._report_sender.send_unclaimed(ref, report)
            unreported_s = 0.0
        return msgspec.structs.replace(ref, unreported_s=unreported_s)

    def _report_stale(self, refs: list[DeliveryRef], run: TaskRun) -> None:
        """Report these deliveries as stale instead of sending them."""
        for ref in refs:
            _log.info("delivery_stale", delivery=ref.id, subscription=ref.subscription, lanes=[*ref.lanes])
            self._report_unsent(ref, ReportKind.STALE, run)

    def _report_unable(self, found: Sequence[tuple[DeliveryRef, TemplateResult]], run: TaskRun) -> None:
        """Report the deliveries whose subscriptions this worker cannot use."""
        for ref, error in found:
            if isinstance(error, UnusableSubscription):
                kind = ReportKind.UNREADABLE if isinstance(error, SecretsUnreadable) else ReportKind.UNUSABLE
                self._report_unsent(ref, kind, run, error.detail if kind is ReportKind.UNUSABLE else "")

    def _report_unsent(self, ref: DeliveryRef, kind: ReportKind, run: TaskRun, detail: str = "") -> None:
        """Report that a delivery is not sent, and why."""
        run.expect()
        report = Report(kind, ref.id, ref.attempt, detail=detail)
        self._report_sender.send_final(ref, report, lambda _reached: run.ended(None))

    def _submit(
        self,
        sendable: list[tuple[DeliveryRef, RequestTemplate]],
        answers: list[ClaimAnswer],
        claimed_at: float,
        run: TaskRun,
    ) -> bool:
        """Send what was claimed, and report what was stale. Returns whether anything was claimed."""
        stale = []
        claimed = False
        for (ref, template), answer in zip(sendable, answers, strict=True):
            if answer is ClaimDenied.STALE:
                stale.append(ref)
            elif answer is ClaimDenied.TAKEN:
                _log.debug("delivery_taken", delivery=ref.id, subscription=ref.subscription)
            elif not isinstance(answer, ClaimDenied | NotNow):
                self._send(ref, template, answer, claimed_at, run)
                claimed = True
        self._report_stale(stale, run)
        return claimed

    def _send(
        self,
        ref: DeliveryRef,
        template: RequestTemplate,
        claimed: bytes | Permitted,
        claimed_at: float,
        run: TaskRun,
    ) -> None:
        def sent(reached: bool) -> None:  # noqa: FBT001 - the report sender's callback has one flag
            run.ended(sender if reached else None)

        payload, pacing = (claimed, None) if isinstance(claimed, bytes) else (claimed.payload, self._pacing(claimed))
        sender = DeliverySender(
            ref,
            decode_batches(payload),
            template,
            limits=self._limits,
            clocks=self._clocks,
            ended=lambda sender: self._report_sender.sender_ended(sender, sent),
            pacing=pacing,
            observers=self._observers.of(ref, template),
        )
        # The lease runs from the claim, as ingest counts it: this process may have been frozen meanwhile.
        sender.lease_end = claimed_at + self._limits.lease_s
        run.expect()
        self._report_sender.sender_started(sender)
        self._exchanges.submit(sender)

    def _pacing(self, claimed: Permitted) -> Pacing:
        return Pacing(SendSchedule(claimed.permit, self._clocks.monotonic()), self._exchanges.submit_later)


def _open_s(template: RequestTemplate, limits: SendLimits) -> float:
    """How long a request may be open at most; with an access token it may wait for one, get 401, and do so again."""
    timeout_s = template.timeout_s or limits.deadline_s
    return 2 * (limits.deadline_s + timeout_s) if template.tokens else timeout_s


def _publish_unread_again(found: Sequence[tuple[DeliveryRef, TemplateResult]], publish_retry: PublishRetry) -> None:
    """Publish once more, with the same attempt number, the deliveries whose templates cannot be read.

    Raises StoreUnavailable if no template of the task can be read: then the task goes back unchanged to its queue.
    """
    unread = [(ref, error) for ref, error in found if isinstance(error, StoreUnavailable)]
    if not unread:
        return
    error = unread[0][1]
    if len(unread) == len(found):
        raise error
    _log.warning("deliveries_delayed", code=error.code, detail=error.detail, deliveries=[ref.id for ref, _ in unread])
    for ref, _ in unread:
        publish_retry(ref, BACK_OFF_S)


def _delay(one: SessionRun, refs: Sequence[DeliveryRef], error: StoreUnavailable) -> None:
    """Let the session's task publish these deliveries once more."""
    _log.warning("deliveries_delayed", code=error.code, detail=error.detail, deliveries=[ref.id for ref in refs])
    for ref in refs:
        one.run.publish_again(ref, BACK_OFF_S)


def _publish_if_possible(publish_retry: PublishRetry, ref: DeliveryRef, wait_s: float) -> None:
    """Publish a delivery of a task whose other deliveries go on if that fails; ingest dispatches it again then."""
    try:
        publish_retry(ref, wait_s)
    except Reject as error:
        _log.warning("retry_not_published", delivery=ref.id, subscription=ref.subscription, detail=str(error.reason))


def _next_attempt(sender: DeliverySender) -> DeliveryRef:
    """Return the reference of the retry, which has the failed batch only."""
    failed = sender.batches[sender.done]
    return msgspec.structs.replace(
        sender.ref,
        attempt=sender.ref.attempt + 1,
        records=failed.records,
        batches=1,
        unreported_s=0.0,
        failures=sender.failures_before,
    )
