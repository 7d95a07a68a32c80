"""How many more dead letters a subscription may store, under its own limit and under its tenant's.

rows of      counted
subscription before its first dead letter is written, and again when they seem to be too few; it is run by one process
tenant       likewise, and when the count is older than COUNT_AGAIN_S: other processes write rows of the tenant too
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from webhookd.clock import Monotonic
from webhookd.flow.dead_letter import Capacity
from webhookd.store import dead_letters

COUNT_AGAIN_S = 5.0
"""How often the rows of a subscription at its limit are counted. In this time the processes of one tenant may exceed
its limit by what they write."""

TENANT_COUNT_S = 1.0
"""A count of a tenant's rows is used for this long for its other subscriptions: it reads as many rows as it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many dead letters may be stored for a subscription and for a tenant; None is without a limit."""

    subscription: int
    tenant: int | None = None


@dataclass(slots=True)
class _Counted:
    free: int
    at: float


class DeadLetterSpace:
    """Used by one thread; the sessions are the caller's."""

    def __init__(self, limits: Limits, monotonic: Monotonic) -> None:
        self.limits = limits
        self._monotonic = monotonic
        self._subscriptions: dict[str, _Counted] = {}
        self._tenants: dict[str, _Counted] = {}

    def known(self, id_: str, tenant: str) -> Capacity:
        """The capacity by the last counts; none before the first count."""
        own = self._subscriptions.get(id_, _Counted(0, 0.0)).free
        shared = self._tenants.get(tenant)
        if self.limits.tenant is None or shared is None or own <= shared.free:
            return Capacity(free=own, limit=self.limits.subscription)
        return Capacity(free=shared.free, limit=self.limits.tenant, of_tenant=True)

    def reserve(self, session: Session, id_: str, tenant: str, wanted: int) -> Capacity:
        """The capacity; rows are counted only where the last count leaves too few or is too old."""
        now = self._monotonic()
        own = self._subscriptions.get(id_)
        if own is None or (own.free < wanted and now - own.at >= COUNT_AGAIN_S):
            self._count_subscription(session, id_)
        self._count_tenant(session, tenant, COUNT_AGAIN_S)
        return self.known(id_, tenant)

    def count(self, session: Session, id_: str, tenant: str) -> Capacity:
        """Count the rows and return the capacity."""
        self._count_subscription(session, id_)
        self._count_tenant(session, tenant, TENANT_COUNT_S)
        return self.known(id_, tenant)

    def take(self, id_: str, tenant: str, rows: int) -> None:
        """Subtract rows that were written."""
        for counted in (self._subscriptions.get(id_), self._tenants.get(tenant)):
            if counted is not None:
                counted.free = max(0, counted.free - rows)

    def forget(self, id_: str) -> None:
        """Forget the count of a subscription: another process may write rows before it runs here again."""
        self._subscriptions.pop(id_, None)

    def _count_subscription(self, session: Session, id_: str) -> None:
        free = dead_letters.free_rows(session, id_, self.limits.subscription)
        self._subscriptions[id_] = _Counted(free, self._monotonic())

    def _count_tenant(self, session: Session, tenant: str, age_s: float) -> None:
        now, counted = self._monotonic(), self._tenants.get(tenant)
        if self.limits.tenant is None or (counted is not None and now - counted.at < age_s):
            return
        self._tenants[tenant] = _Counted(dead_letters.free_rows_of_tenant(session, tenant, self.limits.tenant), now)
