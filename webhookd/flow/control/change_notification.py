"""Notifications between processes, so that a change takes effect sooner. The database holds every change too."""

from dataclasses import dataclass

from webhookd.flow.control.administration import Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    """A subscription was changed to this version, or deleted: then the version is one that was never stored."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationChanged:
    """The offline switch was set. When that was, and what it is now, is read from the database."""

    status: Availability


ChangeNotification = SubscriptionChanged | AdministrationChanged
