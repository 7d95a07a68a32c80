"""Which subscription a ticket is for: loaded from the database by id and version, and kept.

A ticket's version decides: an older one than the latest known here is stale, so nothing queued leaves under an old
configuration. A later one is heard of in an announcement, found by comparing with the database about once a second,
or named by a newer ticket. Secrets stay in this process.
"""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from webhookd.errors import InvalidInput, StoreUnavailable, UnusableSubscription
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.envelope import CONTENT_TYPE
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Subscription
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.delivery.delivery_sender import RequestTemplate

KEPT = 10_000
"""Plans in memory, some 2 kB each; the oldest half goes when there are more."""


class SubscriptionCache:
    """Plans by subscription; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._plans: dict[str, RequestTemplate] = {}
        self._latest: dict[str, int] = {}

    def heard(self, subscription_id: str, version: int) -> None:
        """It has this version by now: nothing leaves under an earlier one, whether or not the database can be read."""
        with self._lock:
            self._outdate(subscription_id, version)

    def known(self) -> list[str]:
        """The subscriptions whose plans are kept."""
        with self._lock:
            return list(self._plans)

    def compare(self, ids: Sequence[str], versions: Mapping[str, int]) -> None:
        """Forget the plans of those among `ids` that have another version by now, or none: they were deleted."""
        with self._lock:
            for id_ in ids:
                plan = self._plans.get(id_)
                if plan is not None and (version := versions.get(id_, plan.version + 1)) > plan.version:
                    del self._plans[id_]
                    self._outdate(id_, version)

    def plans(self, refs: list[DeliveryRef]) -> list[RequestTemplate | StoreUnavailable | None]:
        """The plan of each ticket, None for a stale one, and the error itself for one that could not be read."""
        wanted = {t.subscription for t in refs if self._version(t.subscription) < t.version and not self._outdated(t)}
        try:
            if wanted:
                self._load(sorted(wanted))
        except StoreUnavailable as error:
            return [error if ref.subscription in wanted else self._kept(ref) for ref in refs]
        return [self._kept(ref) for ref in refs]

    def _kept(self, ref: DeliveryRef) -> RequestTemplate | None:
        plan = self._plans.get(ref.subscription)
        if plan is None or plan.version != ref.version or self._outdated(ref):
            return None
        return plan

    def _outdate(self, subscription_id: str, version: int) -> None:
        _make_room(self._latest)
        self._latest[subscription_id] = max(version, self._latest.get(subscription_id, 0))

    def _outdated(self, ref: DeliveryRef) -> bool:
        return ref.version < self._latest.get(ref.subscription, 0)

    def _version(self, subscription_id: str) -> int:
        plan = self._plans.get(subscription_id)
        return -1 if plan is None else plan.version

    def _load(self, ids: list[str]) -> None:
        with self._database.transaction() as session:
            loaded = subscriptions.load(session, ids)
        with self._lock:
            _make_room(self._plans, len(loaded))
            for id_, found in loaded.items():
                plan = None if isinstance(found, UnusableSubscription) else _plan(found)
                if plan is not None and plan.version >= self._version(id_):
                    self._plans[id_] = plan


def _make_room(kept: dict[str, Any], more: int = 1) -> None:
    """What is forgotten here is found in the database again."""
    if len(kept) + more > KEPT:
        for id_ in list(kept)[: KEPT // 2]:
            del kept[id_]


def _plan(subscription: Subscription) -> RequestTemplate | None:
    try:
        target = Target.parse(subscription.destination.url)
        head = request_head(target, subscription.destination.headers, CONTENT_TYPE)
    except InvalidInput:
        return None  # ingest shows the same fault in the subscription's condition
    return RequestTemplate(version=subscription.version, target=target, head=head, retry=subscription.retry)
