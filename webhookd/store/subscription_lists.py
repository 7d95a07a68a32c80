"""Pages of subscriptions by filter and order, with their health. Every function works inside the caller's transaction.

A page begins behind the last row of the previous one: at the values of the order's column and of the id. So rows that
are inserted or deleted meanwhile neither repeat nor hide others. Two statements make a page of any size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, false, literal, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from webhookd.flow.control.administration import Administration
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.store import subscriptions
from webhookd.store.subscription_filters import has_label, reads_topic
from webhookd.store.subscriptions import SUMMARY_COLUMNS, Loaded, SubscriptionSummary, summary_of
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

_STATUS_COLUMNS = (
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
    query = select(*SUMMARY_COLUMNS, *_STATUS_COLUMNS, COLUMNS[wanted.order.column].label("sorted_by"))
    query = query.outerjoin(SubscriptionStatusRow, SubscriptionStatusRow.subscription_id == SubscriptionRow.id)
    conditions = [*_conditions(wanted.filters, switch), *_behind(wanted.order, wanted.after)]
    found = session.execute(query.where(*conditions).order_by(*_order_by(wanted.order)).limit(wanted.limit + 1)).all()
    rows = found[: wanted.limit]
    loaded = subscriptions.load(session, [row.id for row in rows])
    # A row may have been deleted between the two statements.
    return Page([_listed(row, loaded[row.id]) for row in rows if row.id in loaded], len(found) > wanted.limit)


def _listed(row: Row[*tuple[Any, ...]], loaded: Loaded) -> ListedSubscription:
    status = SubscriptionStatus(
        subscription_id=row.id,
        health=Health(row.health or Health.HEALTHY),
        reason=row.reason or "",
        lag=row.lag,
        topics=tuple(TopicStatus(topic=item["topic"], partitions=item["partitions"]) for item in row.topics or ()),
    )
    return ListedSubscription(
        summary=summary_of(row),
        place=Place(row.sorted_by, row.id),
        loaded=loaded,
        status=status if row.health else None,
    )


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
            return and_(SubscriptionRow.active.is_(True), SubscriptionStatusRow.health == Health.UNHEALTHY.value)
        case ListStatus.HEALTHY:
            unknown = SubscriptionStatusRow.health.is_(None)
            healthy = or_(unknown, SubscriptionStatusRow.health == Health.HEALTHY.value)
            return and_(SubscriptionRow.active.is_(True), healthy)


def _behind(order: Order, after: Place | None) -> Iterator[ColumnElement[bool]]:
    if after is None:
        return
    column = COLUMNS[order.column]
    row, place = tuple_(column, SubscriptionRow.id), tuple_(literal(after.value, column.type), literal(after.id))
    yield row < place if order.descending else row > place


def _order_by(order: Order) -> Sequence[ColumnElement[Any]]:
    columns = dict.fromkeys((COLUMNS[order.column], SubscriptionRow.id))
    return [column.desc() if order.descending else column.asc() for column in columns]
