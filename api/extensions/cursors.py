"""Opaque cursors of lists: where a page ended, and of which list.

A cursor is the URL-safe base64 of a JSON array: the list's digest, the value in the column of the order, and the id. It
holds nothing that its reader has not seen, and is not a right: a page behind any place has only the caller's rows. So
it is checked, but not signed.
"""

import hashlib
import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from api.extensions.request_fields import RequestField
from webhookd.errors import InvalidInput
from webhookd.store.subscription_lists import Order, OrderColumn, Place
from webhookd.store.tables import storable

LONGEST: Final = 4096
"""Characters of a cursor; a name of 200 characters makes about 1,600."""

NOT_A_CURSOR: Final = "is not a cursor of this API: take the one in the Link header of the previous page"
OTHER_LIST: Final = "belongs to a list with another order or other filters: send the parameters of the previous page"

_TIMES: Final = frozenset({OrderColumn.CREATED_AT, OrderColumn.UPDATED_AT})

Read = tuple[str, Any, str]
"""A cursor that was read: digest, value, and id."""


def digest(order: Order, filters: Mapping[str, Any]) -> str:
    """What two pages of one list have in common: its order and its filters."""
    text = json.dumps([order.column, order.descending, filters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def written(of: str, place: Place) -> str:
    """The cursor of the page behind a place."""
    return urlsafe_b64encode(json.dumps([of, place.value, place.id]).encode()).decode().rstrip("=")


def place_of(cursor: Read, of: str, order: Order) -> Place:
    """The place in a cursor; raises InvalidInput for a cursor of another list."""
    found, value, id_ = cursor
    if found != of or not (_is_time(value) if order.column in _TIMES else _is_text(value)):
        raise InvalidInput(OTHER_LIST, field="cursor")
    return Place(value if isinstance(value, str) else float(value), id_)


def _is_text(value: object) -> bool:
    """Whether it is text that a database can compare: without NUL, and without half of a surrogate pair."""
    return isinstance(value, str) and value == storable(value)


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


class CursorField(RequestField):
    """A cursor as a query parameter."""

    expected = "the cursor in the Link header of the previous page"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        return None if _read(str(value)) else NOT_A_CURSOR

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> Read | None:
        del attr, data, kwargs
        return _read(str(value))


def _read(text: str) -> Read | None:
    if len(text) > LONGEST or not text.isascii():
        return None
    try:
        match json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))):
            case [str(of), str() | int() | float() as value, str(id_)]:
                return of, value, str(UUID(id_))
            case _:
                return None
    except (ValueError, RecursionError):
        return None
