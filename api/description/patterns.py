"""Regular expressions of what requests may contain, in the dialect of JSON Schema (ECMA 262), for the OpenAPI document.

Each of them accepts only what webhookd accepts. Some are narrower, where the whole rule is too long for a document: the
host of a URL can also be written in other characters than ASCII, which stands for its `xn--` form. They apply to
requests only; the document's responses do not promise them.
"""

from typing import Final

from webhookd.flow.access.tenant_name import PATTERN as TENANT_NAME
from webhookd.flow.attempt.header import RESERVED_NAMES, RESERVED_PREFIXES

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_SPACES: Final = r"\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"

ONE_LINE: Final = rf"^[^{_CONTROLS}]*[^{_CONTROLS}{_SPACES}][^{_CONTROLS}]*$"
"""A line that is not blank."""

STORABLE: Final = r"^[^\x00]*$"
"""A text without NUL, which Postgres cannot store."""

TOPIC_NAME: Final = r"^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$"

TOPIC: Final = r"^(?!\.{1,2}$)(?!__)[a-zA-Z0-9._-]{1,249}$"
"""A topic's name that is not internal to Kafka."""

PLACE: Final = r"^(?!\.{1,2}:)[a-zA-Z0-9._-]{1,249}:[0-9]{1,18}:[0-9]{1,18}$"
"""`topic:partition:offset`."""

TENANT: Final = f"^{TENANT_NAME}$"


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


_RESERVED: Final = "|".join(
    [*(f"{_any_case(name)}:" for name in sorted(RESERVED_NAMES)), *map(_any_case, RESERVED_PREFIXES)]
)

HEADER: Final = rf"^(?!{_RESERVED})[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\xa0-\xff]*$"
"""`Name: value`, without the names that webhookd sets itself."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_GROUP: Final = r"[0-9A-Fa-f]{1,4}"


def _ipv6() -> str:
    """Return the pattern of an IPv6 address: eight groups, or up to seven with `::` in place of the others."""
    compressed = [f"{_groups(before)}::{_up_to(7 - before)}" for before in range(8)]
    return "|".join([_groups(8), *compressed])


def _up_to(count: int) -> str:
    return f"(?:{_GROUP}(?::{_GROUP}){{0,{count - 1}}})?" if count else ""


def _groups(count: int) -> str:
    return f"{_GROUP}(?::{_GROUP}){{{count - 1}}}" if count else ""


_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"  # 1 to 65535
_PATH: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"

URL: Final = rf"^https?://(?:{_LABEL}(?:\.{_LABEL}){{0,9}}|\[(?:{_ipv6()})\])(?::(?:{_PORT}))?(?:[/?]{_PATH})?$"
"""A URL with the scheme http or https, without user, password and fragment."""

PASSWORD: Final = rf"^[^{_CONTROLS}]*$"
"""What HTTP Basic can carry."""

USERNAME: Final = rf"^[^:{_CONTROLS}]*$"

CLIENT_TEXT: Final = r"^[\x20-\x7e]+$"
"""The id or the secret of a client (RFC 6749, appendix A)."""

AUDIENCE: Final = r"^[\x20-\x7e]*$"

_SCOPE: Final = r"[\x21\x23-\x5b\x5d-\x7e]+"

SCOPE: Final = rf"^(?:{_SCOPE}(?: {_SCOPE})*)?$"
"""A list of scopes (RFC 6749 §3.3)."""
_MASKED: Final = r"\*\*\*\*"
_WHSEC: Final = (
    r"whsec_(?:[A-Za-z0-9+/]{4}){8,20}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{4}[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{2}==|"
    r"[A-Za-z0-9+/]{3}=)?"
)
"""The base64 of 24 to 64 bytes."""
_WHSK: Final = r"whsk_(?:[A-Za-z0-9+/]{4}){10}[A-Za-z0-9+/]{3}="
"""The base64 of 32 bytes."""

NEW_SIGNING_SECRET: Final = f"^(?:{_WHSEC}|{_WHSK})$"

SIGNING_SECRET: Final = f"^(?:{_MASKED}|{_WHSEC}|{_WHSK})$"
"""A secret, or the mask, which keeps the stored one."""
