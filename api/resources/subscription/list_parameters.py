"""The query parameters of the list of subscriptions: page, order and filters."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError

from api.extensions import cursors
from api.extensions.cursors import CursorField
from api.extensions.request_fields import Choice, Text
from api.resources.subscription import validators
from api.resources.subscription.labels import NAME_CHARACTERS, VALUE_CHARACTERS, label_mistake
from api.resources.subscription.schemas import PageSchema
from webhookd.errors import InvalidInput
from webhookd.store.subscription_lists import ListFilters, ListStatus, Order, OrderColumn, PageRequest, Place

SORTS: Final = [f"{sign}{column}" for column in OrderColumn for sign in ("", "-")]
FILTERS: Final = ("name", "topic", "status", "active", "tenant", "external_id", "label")


def _label(value: str) -> None:
    name, colon, text = value.partition(":")
    if not name or not colon:
        raise ValidationError("is not a label: write name:value, such as team:billing")
    if mistake := label_mistake(name, text):
        raise ValidationError(mistake)


class ListSchema(PageSchema):
    """Which subscriptions to list, in which order, and which page of them."""

    cursor = CursorField(
        load_default=None,
        metadata={
            "description": "Where the page begins: take it from the `Link` header of the previous page. It belongs to "
            "its order and filters, and stays valid when subscriptions are created or deleted.",
            "type": "string",
        },
    )
    sort = Choice(
        SORTS,
        load_default=OrderColumn.ID.value,
        metadata={"description": "The order; with `-` in front it is descending. Ties are sorted by the id."},
    )
    name = Text(
        least=1,
        most=200,
        load_default=None,
        validate=validators.name,
        metadata={"description": "Only those with exactly this name."},
    )
    topic = Text(
        load_default=None, validate=validators.topic_name, metadata={"description": "Only those that read this topic."}
    )
    status = Choice(
        [status.value for status in ListStatus],
        load_default=None,
        metadata={"description": "Only those with this status, as ingest wrote it last."},
    )
    active = Choice(["yes", "no"], load_default=None, metadata={"description": "Only active or only inactive ones."})
    tenant = Text(
        load_default=None,
        validate=validators.tenant,
        metadata={"description": "Only those of this tenant; a client sees only its own tenant's in any case."},
    )
    external_id = Text(
        least=1,
        most=200,
        load_default=None,
        validate=validators.name,
        metadata={"description": "Only the one with this `external_id`; for operators one in each tenant."},
    )
    label = Text(
        least=2,
        most=NAME_CHARACTERS + 1 + VALUE_CHARACTERS,
        load_default=None,
        validate=_label,
        metadata={"description": "Only those with this label, as `name:value`.", "example": "team:billing"},
    )


def page_request(parameters: Mapping[str, Any]) -> PageRequest:
    """The page that validated parameters describe; raises InvalidInput for those that exclude each other."""
    order = order_of(parameters)
    return PageRequest(
        filters=_filters(parameters), order=order, after=_after(parameters, order), limit=parameters["limit"]
    )


def next_parameters(parameters: Mapping[str, Any], last: Place) -> dict[str, Any]:
    """The parameters of the page behind a place; `after` is kept for those who page by it, as before cursors."""
    kept = {name: parameters[name] for name in ("sort", *FILTERS) if parameters[name] is not None}
    if kept == {"sort": OrderColumn.ID.value} and parameters["cursor"] is None:
        return {"after": last.id, "limit": parameters["limit"]}
    of = _digest(parameters, order_of(parameters))
    return {**kept, "cursor": cursors.written(of, last), "limit": parameters["limit"]}


def order_of(parameters: Mapping[str, Any]) -> Order:
    """The order that the parameter `sort` names."""
    text: str = parameters["sort"]
    return Order(column=OrderColumn(text.removeprefix("-")), descending=text.startswith("-"))


def _digest(parameters: Mapping[str, Any], order: Order) -> str:
    return cursors.digest(order, {name: parameters[name] for name in FILTERS})


def _after(parameters: Mapping[str, Any], order: Order) -> Place | None:
    cursor, after = parameters["cursor"], parameters["after"]
    if after is None:
        return cursors.place_of(cursor, _digest(parameters, order), order) if cursor else None
    if cursor is not None:
        raise InvalidInput("cannot be used together with cursor: write one of them", field="after")
    if order != Order():
        raise InvalidInput("is a place in the order of the ids: leave out sort, or page by cursor", field="after")
    return Place(str(after), str(after))


def _filters(parameters: Mapping[str, Any]) -> ListFilters:
    status, active, label = (parameters[name] for name in ("status", "active", "label"))
    name, _, value = (label or "").partition(":")
    return ListFilters(
        name=parameters["name"],
        topic=parameters["topic"],
        status=ListStatus(status) if status else None,
        active=active == "yes" if active else None,
        tenant=parameters["tenant"],
        external_id=parameters["external_id"],
        labels={name: value} if label else {},
    )
