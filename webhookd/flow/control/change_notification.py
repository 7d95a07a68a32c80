"""What processes tell each other so that a change takes effect sooner; the database has it all as well."""

from dataclasses import dataclass

from webhookd.flow.control.administration import Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    """A subscription has this version by now; one that was deleted, a version it never had."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationChanged:
    """webhookd was switched; the database knows when, and what holds now."""

    status: Availability


ChangeNotification = SubscriptionChanged | AdministrationChanged
