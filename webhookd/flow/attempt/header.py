"""A header of a subscription: its syntax, the names that webhookd reserves, and its masked form."""

import re
from typing import Final

from webhookd.errors import InvalidInput

MASK: Final = "****"
"""Shown in place of every value. It is the same for all values, so that it does not even reveal their length."""

HEADER_BYTES: Final = 8 * 1024
"""The limit of name and value together; servers refuse longer lines."""

RESERVED_NAMES: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""These control the framing and routing of a request, the format of its body, and the compression of the response."""

RESERVED_PREFIXES: Final = ("proxy-", "webhook-")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def parse_header(text: str) -> tuple[str, str]:
    """The name and the value of `Name: value`. Raises InvalidInput, whose text never contains the value."""
    name, colon, value = text.partition(":")
    if not colon:
        raise InvalidInput('is not of the form "Name: value"')
    if not _NAME.fullmatch(name):
        raise InvalidInput("has a name that is not an HTTP token")
    if name.lower() in RESERVED_NAMES or name.lower().startswith(RESERVED_PREFIXES):
        raise InvalidInput(f"sets {name}, which webhookd sets itself: leave it out")
    if not _VALUE.fullmatch(value):
        raise InvalidInput("has a value with line breaks, control characters or characters outside Latin-1")
    if len(text) > HEADER_BYTES:
        raise InvalidInput(f"is longer than {HEADER_BYTES} bytes")
    return name, value.strip(" \t")


def mask(name: str) -> str:
    """The header as every API response shows it: `X-Api-Key: ****`."""
    return f"{name}: {MASK}"


def is_masked(value: str) -> bool:
    """Whether the value is the mask. If a client sends the mask, the stored value stays."""
    return value == MASK
