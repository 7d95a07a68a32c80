"""Notifications between processes, so that a change takes effect sooner. The database holds every change too."""

from dataclasses import dataclass

from webhookd.flow.control.administration import Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    """A subscription was changed to this version, or deleted; a deletion has a version that was never stored."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationChanged:
    """The offline switch was set. The receiver reads from the database when that was, and the current state."""

    status: Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesChanged:
    """The policies have this version. The receiver reads from the database what that means for its subscriptions."""

    version: int


ChangeNotification = SubscriptionChanged | AdministrationChanged | PoliciesChanged
