"""Pages of subscriptions by filter and order, with their health. Every function works inside the caller's transaction.

A page begins behind the last row of the previous one: at the values of the order's column and of the id. So rows that
are inserted or deleted meanwhile neither repeat nor hide others. Two statements make a page of any size. Postgres
answers each filter in each order by indexes (tests/contract/store/test_list_plans.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, literal, not_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from webhookd.flow.control.administration import Administration
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.store import subscriptions
from webhookd.store.dialects import prefer_indexes
from webhookd.store.subscription_filters import has_label, reads_topic
from webhookd.store.subscriptions import (
    ALL_COLUMNS,
    SUMMARY_COLUMNS,
    AnyRow,
    Loaded,
    SubscriptionSummary,
    summary_of,
    usable,
)
from webhookd.store.tables import SubscriptionRow, SubscriptionStatusRow


class ListStatus(StrEnum):
    """The status of a subscription, as lists show and filter it."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INACTIVE = "inactive"


class OrderColumn(StrEnum):
    """What a list can be sorted by; ties are sorted by the id."""

    ID = "id"
    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


COLUMNS: Mapping[OrderColumn, InstrumentedAttribute[str] | InstrumentedAttribute[float]] = {
    OrderColumn.ID: SubscriptionRow.id,
    OrderColumn.NAME: SubscriptionRow.name,
    OrderColumn.CREATED_AT: SubscriptionRow.created_at,
    OrderColumn.UPDATED_AT: SubscriptionRow.updated_at,
}

BY_HEALTH = frozenset({ListStatus.HEALTHY, ListStatus.UNHEALTHY})
"""The filters that read the statuses as well."""

_STATUS_COLUMNS = (
    SubscriptionStatusRow.subscription_id,
    SubscriptionStatusRow.health,
    SubscriptionStatusRow.reason,
    SubscriptionStatusRow.lag,
    SubscriptionStatusRow.topics,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of a list."""

    column: OrderColumn = OrderColumn.ID
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the last row's value in the order's column, and its id."""

    value: str | float
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilters:
    """Which subscriptions a list has; None and {} do not filter."""

    name: str | None = None
    topic: str | None = None
    status: ListStatus | None = None
    active: bool | None = None
    tenant: str | None = None
    external_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSubscription:
    """A row of a list. Of its `status` only health, reason, lag and topics are read; None before ingest wrote one."""

    summary: SubscriptionSummary
    place: Place
    loaded: Loaded
    status: SubscriptionStatus | None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page; `more` says whether another page follows."""

    rows: list[ListedSubscription]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page: the first, or the one behind a place."""

    filters: ListFilters = ListFilters()
    order: Order = Order()
    after: Place | None = None
    limit: int


def page(session: Session, wanted: PageRequest, switch: Administration) -> Page:
    """A page of subscriptions, also of those whose configuration cannot be used.

    While webhookd is offline, every subscription is inactive.
    """
    found = _found(session, wanted, switch)
    rows = found[: wanted.limit]
    statuses = _statuses(session, [row.id for row, _ in rows])
    listed = [
        ListedSubscription(
            summary=summary_of(row), place=Place(row.sorted_by, row.id), loaded=loaded, status=statuses.get(row.id)
        )
        for row, loaded in rows
    ]
    return Page(listed, len(found) > wanted.limit)


def _found(session: Session, wanted: PageRequest, switch: Administration) -> list[tuple[AnyRow, Loaded]]:
    """The rows of the page, and one more if there is one."""
    if wanted.filters.status in BY_HEALTH:
        # How many are unhealthy decides which index is best: that of the health when they are few, that of the order
        # when they are many. The planner knows how many; but between the two it would read both tables as a whole.
        prefer_indexes(session)
    try:
        return [(row, usable(row)) for row in session.execute(_query(ALL_COLUMNS, wanted, switch)).all()]
    except ValueError:
        # A column of one row is not JSON: each row must be loaded by itself.
        rows = session.execute(_query(SUMMARY_COLUMNS, wanted, switch)).all()
        loaded = subscriptions.load(session, [row.id for row in rows])
        return [(row, loaded[row.id]) for row in rows if row.id in loaded]


def _query(
    columns: Sequence[InstrumentedAttribute[Any]], wanted: PageRequest, switch: Administration
) -> Select[*tuple[Any, ...]]:
    query = select(*columns, COLUMNS[wanted.order.column].label("sorted_by"))
    conditions = [*_conditions(wanted.filters, switch), *_behind(wanted.order, wanted.after)]
    return query.where(*conditions).order_by(*_order_by(wanted.order)).limit(wanted.limit + 1)


def _statuses(session: Session, ids: Sequence[str]) -> dict[str, SubscriptionStatus]:
    """What lists show of the statuses; read by the ids, since Postgres would read all statuses for some joins."""
    query = select(*_STATUS_COLUMNS).where(SubscriptionStatusRow.subscription_id.in_(ids))
    return {
        row.subscription_id: SubscriptionStatus(
            subscription_id=row.subscription_id,
            health=Health(row.health),
            reason=row.reason,
            lag=row.lag,
            topics=tuple(TopicStatus(topic=item["topic"], partitions=item["partitions"]) for item in row.topics),
        )
        for row in session.execute(query)
    }


def _conditions(filters: ListFilters, switch: Administration) -> Iterator[ColumnElement[bool]]:
    equal = (
        (SubscriptionRow.name, filters.name),
        (SubscriptionRow.tenant, filters.tenant),
        (SubscriptionRow.external_id, filters.external_id),
    )
    for column, value in equal:
        if value is not None:
            yield column == value
    if filters.active is not None:
        yield SubscriptionRow.active.is_(filters.active)
    if filters.topic is not None:
        yield reads_topic(filters.topic)
    for name, value in filters.labels.items():
        yield has_label(name, value)
    if filters.status is not None:
        yield _has_status(filters.status, switch)


def _has_status(status: ListStatus, switch: Administration) -> ColumnElement[bool]:
    if switch.offline:
        return true() if status is ListStatus.INACTIVE else false()
    match status:
        case ListStatus.INACTIVE:
            return SubscriptionRow.active.is_(False)
        case ListStatus.UNHEALTHY:
            return and_(SubscriptionRow.active.is_(True), _is_unhealthy())
        case ListStatus.HEALTHY:  # also one whose status ingest has not written yet
            return and_(SubscriptionRow.active.is_(True), not_(_is_unhealthy()))


def _is_unhealthy() -> ColumnElement[bool]:
    status = SubscriptionStatusRow
    return exists().where(status.subscription_id == SubscriptionRow.id, status.health == Health.UNHEALTHY.value)


def _behind(order: Order, after: Place | None) -> Iterator[ColumnElement[bool]]:
    if after is None:
        return
    column = COLUMNS[order.column]
    row, place = tuple_(column, SubscriptionRow.id), tuple_(literal(after.value, column.type), literal(after.id))
    yield row < place if order.descending else row > place


def _order_by(order: Order) -> Sequence[ColumnElement[Any]]:
    columns = dict.fromkeys((COLUMNS[order.column], SubscriptionRow.id))
    return [column.desc() if order.descending else column.asc() for column in columns]
