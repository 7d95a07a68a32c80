"""Where a task's parcel becomes deliveries: look up, claim, send, report, and have the failed batch tried again.

The order, and what a crash in between costs:
    0. ask the switch       while webhookd is offline everything is stale; nothing is kept for later
    1. look up the plans    nothing is claimed yet: the same delivery is published again; so is, alone, one of a
                            parcel that would have to be read from a database that is away
    2. claim                from here on the lease runs: after it ingest dispatches what is not settled again
    3. send                 likewise; what was acknowledged and not reported is sent twice
    4. report               with the retry's payload, in one step
    5. publish the retry    likewise: a lost retry is a lost delivery
    6. acknowledge the task a copy finds the claim and drops itself
"""

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from webhookd import logs
from webhookd.errors import StoreUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.attempt.judge import RetryAt
from webhookd.flow.attempt.target import Target
from webhookd.flow.batching.batch import decode_batches
from webhookd.flow.dispatch.coordination import ClaimDenied
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import Clocks, DeliverySender, RequestTemplate, SendLimits
from workers.delivery.report_sender import ReportSender

BACK_OFF_S = 2.0
"""How long a delivery waits when the database or Redis is away; nothing of it is claimed yet."""

_log = logs.get(__name__)

PublishRetry = Callable[[DeliveryRef, float], None]
"""Publishes one ticket with a countdown in seconds."""


class RequestTemplates(Protocol):
    """What says where the requests of a ticket go."""

    def plans(self, refs: list[DeliveryRef]) -> list[RequestTemplate | StoreUnavailable | None]:
        """The plan of each, None for a stale one, the error for one that cannot be read now."""


class Claims(Protocol):
    """What says which deliveries are ours to send."""

    def claim(self, refs: Sequence[DeliveryRef]) -> list[bytes | ClaimDenied]:
        """Their payloads, or why not. Raises QueueUnavailable."""


class RequestSequence(Protocol):
    """What the exchange loop sends."""

    target: Target
    deadline_s: float

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """The next request, or None at the end."""


class Exchanges(Protocol):
    """What sends the requests."""

    def submit(self, sender: RequestSequence) -> None:
        """Take an errand; returns at once."""


class Switch(Protocol):
    """What says whether webhookd is online."""

    @property
    def offline(self) -> bool:
        """Whether nothing is to be sent."""


class TaskHandler:
    """Shared by every task thread of a worker process."""

    def __init__(
        self,
        *,
        switch: Switch,
        cache: RequestTemplates,
        claims: Claims,
        exchanges: Exchanges,
        reporter: ReportSender,
        bounds: SendLimits,
        clocks: Clocks,
    ) -> None:
        self._switch = switch
        self._cache = cache
        self._claims = claims
        self._exchanges = exchanges
        self._reporter = reporter
        self._bounds = bounds
        self._clocks = clocks

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry) -> None:
        """Send a parcel; returns when each of its deliveries was reported or given up.

        Raises StoreUnavailable (when no plan can be told) and QueueUnavailable before anything was claimed.
        """
        plans = [None] * len(refs) if self._switch.offline else self._cache.plans(refs)
        found = list(zip(refs, plans, strict=True))
        known = [(ref, plan) for ref, plan in found if isinstance(plan, RequestTemplate)]
        # Before the claims: a publish that fails gives the whole parcel back, and nothing of it must be ours by then.
        _put_off(found, publish_retry)
        ended: SimpleQueue[DeliverySender | None] = SimpleQueue()
        waiting = self._refuse([ref for ref, plan in found if plan is None], ended)
        if known:
            answers = self._claims.claim([ref for ref, _ in known])
            waiting += self._submit(known, answers, ended)
        for _ in range(waiting):
            sender = self._next(ended)
            if sender is None:
                continue
            _log_end(sender)
            if isinstance(sender.verdict, RetryAt):
                publish_retry(_next_attempt(sender), sender.verdict.wait_s)

    def _next(self, ended: "SimpleQueue[DeliverySender | None]") -> DeliverySender | None:
        """The next errand that ended. One that never does (a fault in the exchange loop) must not keep the thread."""
        try:
            return ended.get(timeout=self._bounds.longest_s)
        except Empty:
            _log.error("errand_lost", code="errand_lost")
            return None

    def _refuse(self, refs: list[DeliveryRef], ended: "SimpleQueue[DeliverySender | None]") -> int:
        """Stale tickets never go; ingest is told."""
        for ref in refs:
            _log.info("delivery_stale", delivery=ref.id, subscription=ref.subscription, lanes=[*ref.lanes])
            report = Report(ReportKind.STALE, ref.id, ref.attempt)
            self._reporter.tell(ref, report, lambda _reached: ended.put(None))
        return len(refs)

    def _submit(
        self,
        known: list[tuple[DeliveryRef, RequestTemplate]],
        answers: list[bytes | ClaimDenied],
        ended: "SimpleQueue[DeliverySender | None]",
    ) -> int:
        stale = []
        submitted = 0
        for (ref, plan), answer in zip(known, answers, strict=True):
            if answer is ClaimDenied.STALE:
                stale.append(ref)
            elif answer is ClaimDenied.TAKEN:
                _log.debug("delivery_taken", delivery=ref.id, subscription=ref.subscription)
            elif not isinstance(answer, ClaimDenied):
                self._send(ref, plan, answer, ended)
                submitted += 1
        return submitted + self._refuse(stale, ended)

    def _send(
        self, ref: DeliveryRef, plan: RequestTemplate, payload: bytes, ended: "SimpleQueue[DeliverySender | None]"
    ) -> None:
        def flushed(reached: bool) -> None:  # noqa: FBT001 - the reporter's callback has one flag
            ended.put(sender if reached else None)

        sender = DeliverySender(
            ref,
            decode_batches(payload),
            plan,
            bounds=self._bounds,
            clocks=self._clocks,
            ended=lambda sender: self._reporter.ended(sender, flushed),
        )
        self._reporter.opened(sender)
        self._exchanges.submit(sender)


def _put_off(
    found: Sequence[tuple[DeliveryRef, RequestTemplate | StoreUnavailable | None]], publish_retry: PublishRetry
) -> None:
    """Publish again, as the same attempts, the deliveries whose plans cannot be read; raises when that is all."""
    unread = [(ref, error) for ref, error in found if isinstance(error, StoreUnavailable)]
    if not unread:
        return
    error = unread[0][1]
    if len(unread) == len(found):
        raise error  # one task for the parcel, in the queue it came from
    _log.warning("deliveries_delayed", code=error.code, detail=error.detail, deliveries=[t.id for t, _ in unread])
    for ref, _ in unread:
        publish_retry(ref, BACK_OFF_S)


def _next_attempt(sender: DeliverySender) -> DeliveryRef:
    """The ticket of the retry, which carries the failed batch only."""
    failed = sender.batches[sender.done]
    return msgspec.structs.replace(
        sender.ref,
        attempt=sender.ref.attempt + 1,
        records=failed.records,
        batches=1,
        failures=sender.failures_before,
    )


def _log_end(sender: DeliverySender) -> None:
    """One line per delivery, and one per failed attempt."""
    ref = sender.ref
    facts = {
        "subscription": ref.subscription,
        "lanes": list(ref.lanes),
        "delivery": ref.id,
        "attempt": ref.attempt,
        "batches": sender.done,
    }
    if sender.failure_code:
        wait_s = sender.verdict.wait_s if isinstance(sender.verdict, RetryAt) else None
        _log.warning("attempt_failed", code=sender.failure_code, retry_in_s=wait_s, **facts)
    else:
        # A stop, or a new epoch, may have come before the first answer.
        _log.info("delivered" if sender.done else "delivery_returned", sending_s=round(sender.took_s, 6), **facts)
