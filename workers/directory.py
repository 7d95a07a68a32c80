"""Which subscription a ticket is for: loaded from the database by id and version, and kept.

A ticket's version decides: an older one than the database's is stale, so nothing queued leaves under an old
configuration once its new one is known here. Secrets stay in this process.
"""

from threading import Lock

from webhookd.errors import InvalidInput, StoreUnavailable, UnusableSubscription
from webhookd.flow.envelope import CONTENT_TYPE
from webhookd.flow.subscription import Subscription
from webhookd.flow.target import Target, request_head
from webhookd.flow.ticket import Ticket
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.errand import Plan

KEPT = 10_000
"""Plans in memory, some 2 kB each; the oldest half goes when there are more."""


class Directory:
    """Plans by subscription; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._plans: dict[str, Plan] = {}

    def plans(self, tickets: list[Ticket]) -> list[Plan | StoreUnavailable | None]:
        """The plan of each ticket, None for a stale one, and the error itself for one that could not be read."""
        wanted = {t.subscription for t in tickets if self._version(t.subscription) < t.version}
        try:
            if wanted:
                self._load(sorted(wanted))
        except StoreUnavailable as error:
            return [error if ticket.subscription in wanted else self._kept(ticket) for ticket in tickets]
        return [self._kept(ticket) for ticket in tickets]

    def _kept(self, ticket: Ticket) -> Plan | None:
        plan = self._plans.get(ticket.subscription)
        return plan if plan is not None and plan.version == ticket.version else None

    def _version(self, subscription_id: str) -> int:
        plan = self._plans.get(subscription_id)
        return -1 if plan is None else plan.version

    def _load(self, ids: list[str]) -> None:
        with self._database.transaction() as session:
            loaded = subscriptions.load(session, ids)
        with self._lock:
            if len(self._plans) + len(loaded) > KEPT:
                for known in list(self._plans)[: KEPT // 2]:
                    del self._plans[known]
            for id_, found in loaded.items():
                plan = None if isinstance(found, UnusableSubscription) else _plan(found)
                if plan is not None and plan.version >= self._version(id_):
                    self._plans[id_] = plan


def _plan(subscription: Subscription) -> Plan | None:
    try:
        target = Target.parse(subscription.destination.url)
        head = request_head(target, subscription.destination.headers, CONTENT_TYPE)
    except InvalidInput:
        return None  # ingest shows the same fault in the subscription's condition
    return Plan(version=subscription.version, target=target, head=head, retry=subscription.retry)
