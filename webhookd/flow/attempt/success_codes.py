"""Which HTTP statuses acknowledge a batch: those of the subscription's success codes.

    code    statuses
    "201"   201
    "2xx"   200 to 299

Codes begin with 2 to 5: a status below 200 is never the final one (RFC 9110 §15.2). A redirection can be a success;
it is not followed. No other status is a success, and so a 2xx that is not listed is tried again.
"""

import re
from collections.abc import Sequence
from typing import Final

from webhookd.errors import InvalidInput
from webhookd.flow.destination import DEFAULT_SUCCESS_CODES

PATTERN: Final = "[2-5](?:xx|[0-9]{2})"
"""What a success code looks like."""

_CODE: Final = re.compile(PATTERN)
_CLASS: Final = "xx"


def statuses_of(codes: Sequence[str]) -> frozenset[int]:
    """The statuses that these codes stand for; subscriptions with the default codes share one set.

    Raises InvalidInput (field `success_codes`) for what is no code.
    """
    if tuple(codes) == DEFAULT_SUCCESS_CODES:
        return DEFAULT_STATUSES
    return frozenset().union(*map(_statuses, codes))


def _statuses(code: str) -> range:
    if not _CODE.fullmatch(code):
        raise InvalidInput(f"has {code!r}, which is not a success code", field="success_codes")
    if code.endswith(_CLASS):
        first = 100 * int(code.removesuffix(_CLASS))
        return range(first, first + 100)
    return range(int(code), int(code) + 1)


DEFAULT_STATUSES: Final = frozenset().union(*map(_statuses, DEFAULT_SUCCESS_CODES))
"""Any 2xx (RFC 9110 §15.3)."""
