"""The subscriptions that an ingest process will start later: when the service is online again, or when it has room."""

from collections.abc import Callable

from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription

Waiting = tuple[Subscription, SubscriptionStatus | None]
"""A subscription and its latest status; None when it has never had one."""

Revision = Callable[[Subscription, SubscriptionStatus | None], SubscriptionStatus | None]
"""Returns the new status of a waiting subscription, None to keep the one it has."""


class WaitingSubscriptions:
    """The waiting subscriptions by id; owned by the ingest loop's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, subscription: Subscription, status: SubscriptionStatus | None) -> None:
        """Add a subscription, in place of another version of it."""
        self._waiting[subscription.id] = (subscription, status)

    def add_first(self, subscription: Subscription, status: SubscriptionStatus | None) -> None:
        """Add a subscription that is not among them; it is the first from here on."""
        self._waiting = {subscription.id: (subscription, status), **self._waiting}

    def discard(self, subscription_id: str) -> None:
        """Remove a subscription, if it is among them."""
        self._waiting.pop(subscription_id, None)

    def revise(self, revision: Revision) -> list[SubscriptionStatus]:
        """Update the status of each; returns the statuses that changed."""
        changed = []
        for subscription, before in list(self._waiting.values()):
            after = revision(subscription, before)
            if after is not None and after != before:
                self.add(subscription, after)
                changed.append(after)
        return changed

    def take_first(self) -> Waiting:
        """Remove and return the one that came first. Raises StopIteration when none waits."""
        return self._waiting.pop(next(iter(self._waiting)))

    def all(self) -> list[Waiting]:
        """Return all of them, in the order in which they came."""
        return list(self._waiting.values())

    def take_all(self) -> list[Waiting]:
        """Remove and return all of them, in the order in which they came."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting.values())
