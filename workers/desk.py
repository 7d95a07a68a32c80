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
from webhookd.flow.board import Denied
from webhookd.flow.judge import RetryAt
from webhookd.flow.outcome import Outcome
from webhookd.flow.report import Kind, Report
from webhookd.flow.target import Target
from webhookd.flow.ticket import Ticket, decode_batches
from workers.errand import Bounds, Clocks, DeliveryErrand, Plan
from workers.reporter import Reporter

BACK_OFF_S = 2.0
"""How long a delivery waits when the database or Redis is away; nothing of it is claimed yet."""

_log = logs.get(__name__)

PublishRetry = Callable[[Ticket, float], None]
"""Publishes one ticket with a countdown in seconds."""


class Plans(Protocol):
    """What says where the requests of a ticket go."""

    def plans(self, tickets: list[Ticket]) -> list[Plan | StoreUnavailable | None]:
        """The plan of each, None for a stale one, the error for one that cannot be read now."""


class Claims(Protocol):
    """What says which deliveries are ours to send."""

    def claim(self, tickets: Sequence[Ticket]) -> list[bytes | Denied]:
        """Their payloads, or why not. Raises QueueUnavailable."""


class Errand(Protocol):
    """What the exchange loop sends."""

    target: Target
    deadline_s: float

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """The next request, or None at the end."""


class Exchanges(Protocol):
    """What sends the requests."""

    def submit(self, errand: Errand) -> None:
        """Take an errand; returns at once."""


class Switch(Protocol):
    """What says whether webhookd is online."""

    @property
    def offline(self) -> bool:
        """Whether nothing is to be sent."""


class Desk:
    """Shared by every task thread of a worker process."""

    def __init__(
        self,
        *,
        switch: Switch,
        directory: Plans,
        claims: Claims,
        exchanges: Exchanges,
        reporter: Reporter,
        bounds: Bounds,
        clocks: Clocks,
    ) -> None:
        self._switch = switch
        self._directory = directory
        self._claims = claims
        self._exchanges = exchanges
        self._reporter = reporter
        self._bounds = bounds
        self._clocks = clocks

    def deliver(self, tickets: list[Ticket], publish_retry: PublishRetry) -> None:
        """Send a parcel; returns when each of its deliveries was reported or given up.

        Raises StoreUnavailable (when no plan can be told) and QueueUnavailable before anything was claimed.
        """
        plans = [None] * len(tickets) if self._switch.offline else self._directory.plans(tickets)
        found = list(zip(tickets, plans, strict=True))
        known = [(ticket, plan) for ticket, plan in found if isinstance(plan, Plan)]
        # Before the claims: a publish that fails gives the whole parcel back, and nothing of it must be ours by then.
        _put_off(found, publish_retry)
        ended: SimpleQueue[DeliveryErrand | None] = SimpleQueue()
        waiting = self._refuse([ticket for ticket, plan in found if plan is None], ended)
        if known:
            answers = self._claims.claim([ticket for ticket, _ in known])
            waiting += self._submit(known, answers, ended)
        for _ in range(waiting):
            errand = self._next(ended)
            if errand is None:
                continue
            _log_end(errand)
            if isinstance(errand.verdict, RetryAt):
                publish_retry(_next_attempt(errand), errand.verdict.wait_s)

    def _next(self, ended: "SimpleQueue[DeliveryErrand | None]") -> DeliveryErrand | None:
        """The next errand that ended. One that never does (a fault in the exchange loop) must not keep the thread."""
        try:
            return ended.get(timeout=self._bounds.longest_s)
        except Empty:
            _log.error("errand_lost", code="errand_lost")
            return None

    def _refuse(self, tickets: list[Ticket], ended: "SimpleQueue[DeliveryErrand | None]") -> int:
        """Stale tickets never go; ingest is told."""
        for ticket in tickets:
            _log.info("delivery_stale", delivery=ticket.id, subscription=ticket.subscription, lanes=[*ticket.lanes])
            report = Report(Kind.STALE, ticket.id, ticket.attempt)
            self._reporter.tell(ticket, report, lambda _reached: ended.put(None))
        return len(tickets)

    def _submit(
        self,
        known: list[tuple[Ticket, Plan]],
        answers: list[bytes | Denied],
        ended: "SimpleQueue[DeliveryErrand | None]",
    ) -> int:
        stale = []
        submitted = 0
        for (ticket, plan), answer in zip(known, answers, strict=True):
            if answer is Denied.STALE:
                stale.append(ticket)
            elif answer is Denied.TAKEN:
                _log.debug("delivery_taken", delivery=ticket.id, subscription=ticket.subscription)
            elif not isinstance(answer, Denied):
                self._send(ticket, plan, answer, ended)
                submitted += 1
        return submitted + self._refuse(stale, ended)

    def _send(self, ticket: Ticket, plan: Plan, payload: bytes, ended: "SimpleQueue[DeliveryErrand | None]") -> None:
        def flushed(reached: bool) -> None:  # noqa: FBT001 - the reporter's callback has one flag
            ended.put(errand if reached else None)

        errand = DeliveryErrand(
            ticket,
            decode_batches(payload),
            plan,
            bounds=self._bounds,
            clocks=self._clocks,
            ended=lambda errand: self._reporter.ended(errand, flushed),
        )
        self._reporter.opened(errand)
        self._exchanges.submit(errand)


def _put_off(found: Sequence[tuple[Ticket, Plan | StoreUnavailable | None]], publish_retry: PublishRetry) -> None:
    """Publish again, as the same attempts, the deliveries whose plans cannot be read; raises when that is all."""
    unread = [(ticket, error) for ticket, error in found if isinstance(error, StoreUnavailable)]
    if not unread:
        return
    error = unread[0][1]
    if len(unread) == len(found):
        raise error  # one task for the parcel, in the queue it came from
    _log.warning("deliveries_delayed", code=error.code, detail=error.detail, deliveries=[t.id for t, _ in unread])
    for ticket, _ in unread:
        publish_retry(ticket, BACK_OFF_S)


def _next_attempt(errand: DeliveryErrand) -> Ticket:
    """The ticket of the retry, which carries the failed batch only."""
    failed = errand.batches[errand.done]
    return msgspec.structs.replace(
        errand.ticket,
        attempt=errand.ticket.attempt + 1,
        records=failed.records,
        batches=1,
        failures=errand.failures_before,
    )


def _log_end(errand: DeliveryErrand) -> None:
    """One line per delivery, and one per failed attempt."""
    ticket = errand.ticket
    facts = {
        "subscription": ticket.subscription,
        "lanes": list(ticket.lanes),
        "delivery": ticket.id,
        "attempt": ticket.attempt,
        "batches": errand.done,
    }
    if errand.failure_code:
        wait_s = errand.verdict.wait_s if isinstance(errand.verdict, RetryAt) else None
        _log.warning("attempt_failed", code=errand.failure_code, retry_in_s=wait_s, **facts)
    else:
        # A stop, or a new epoch, may have come before the first answer.
        event = "delivered" if errand.done else "delivery_returned"
        _log.info(event, sending_s=round(errand.took_s, 6), **facts)
