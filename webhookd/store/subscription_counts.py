"""The number of subscriptions in each state. One query, inside the caller's transaction."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.control.administration import OFFLINE_REASON, Administration
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.subscription_status import Health
from webhookd.store.tables import SubscriptionRow, SubscriptionStatusRow

OWNER = "owner"
"""The reason of an inactive subscription that its owner has deactivated."""

STARTS_WITHIN_S = 60.0
"""An ingest process runs a new or changed subscription within this time: it reads the rows about once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Subscriptions by state: `healthy`, `failing`, `unhealthy` and `inactive` add up to `total`.

    `circuit_open` counts the unhealthy ones that have no attempt left. `not_started` counts the active ones whose
    latest version no ingest process has started in time.
    """

    total: int = 0
    healthy: int = 0
    failing: int = 0
    unhealthy: int = 0
    inactive: int = 0
    circuit_open: int = 0
    not_started: int = 0
    unhealthy_by_reason: Mapping[str, int] = field(default_factory=dict)
    inactive_by_reason: Mapping[str, int] = field(default_factory=dict)


NONE = Counts()


def count(session: Session, switch: Administration) -> Counts:
    """Count the states that ingest wrote last; while webhookd is offline, every subscription is inactive."""
    late = and_(
        func.coalesce(SubscriptionStatusRow.version, -1).not_in(
            [0, SubscriptionRow.version]
        ),  # 0: an earlier release wrote it
        SubscriptionRow.changed_at < clock.wall_clock() - STARTS_WITHIN_S,
    )
    each = (
        select(
            SubscriptionRow.active,
            SubscriptionRow.inactive_reason,
            SubscriptionStatusRow.health,
            SubscriptionStatusRow.reason,
            SubscriptionStatusRow.delivery_state,
            late.label("late"),
        )
        .outerjoin(SubscriptionStatusRow, SubscriptionStatusRow.subscription_id == SubscriptionRow.id)
        .subquery()
    )
    query = select(*each.c, func.count()).group_by(*each.c)
    states: Counter[str] = Counter()
    unhealthy: Counter[str] = Counter()
    inactive: Counter[str] = Counter()
    for *state, number in session.execute(query):
        active, why, health, reason, delivery, is_late = state
        states["total"] += number
        if not active or switch.offline:
            inactive[(why or OWNER) if not active else OFFLINE_REASON] += number
            continue
        if is_late and (not switch.age_s or switch.age_s > STARTS_WITHIN_S):
            states["not_started"] += number
        if health == Health.UNHEALTHY:
            unhealthy[reason] += number
            states["circuit_open"] += number * (delivery == DeliveryState.CIRCUIT_OPEN)
        else:
            failing = delivery in {DeliveryState.FAILING, DeliveryState.CIRCUIT_OPEN}
            states["failing" if failing else "healthy"] += number
    return Counts(
        **states,
        unhealthy=unhealthy.total(),
        inactive=inactive.total(),
        unhealthy_by_reason=dict(unhealthy),
        inactive_by_reason=dict(inactive),
    )
