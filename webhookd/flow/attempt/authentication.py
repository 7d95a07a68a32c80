"""Authentication to the endpoint: what credentials may be, and the headers that are the same for each request.

HTTP Basic is a constant header. An access token changes with time: `access_token.py` has it.
"""

import re
from base64 import b64encode
from typing import Final

from webhookd.errors import InvalidInput
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import Basic, ClientCredentials, Destination

AUTHORIZATION: Final = "Authorization"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_VISIBLE = re.compile(r"[\x20-\x7e]+")
_SCOPE_TOKEN = r"[\x21\x23-\x5b\x5d-\x7e]+"  # noqa: S105  # the grammar of a scope, not a secret
_SCOPE = re.compile(rf"(?:{_SCOPE_TOKEN}(?: {_SCOPE_TOKEN})*)?")


def check_username(value: str) -> None:
    """Raise InvalidInput for a name that HTTP Basic cannot carry (RFC 7617 §2)."""
    check_password(value)
    if ":" in value:
        raise InvalidInput("has a colon, which separates name and password in HTTP Basic")


def check_password(value: str) -> None:
    """Raise InvalidInput for a password that HTTP Basic cannot carry; the text never contains the value."""
    if _CONTROL.search(value):
        raise InvalidInput("has line breaks or control characters")


def check_client_text(value: str) -> None:
    """Raise InvalidInput for a client id, a client secret or an audience that is not visible ASCII (RFC 6749, A.1)."""
    if not _VISIBLE.fullmatch(value):
        raise InvalidInput("has characters that are not visible ASCII characters or spaces")


def check_scope(value: str) -> None:
    """Raise InvalidInput for a text that is not a list of scopes with single spaces between them (RFC 6749 §3.3)."""
    if not _SCOPE.fullmatch(value):
        raise InvalidInput('is not a list of scopes with one space between them, without " and \\')


def constant_headers(destination: Destination) -> tuple[tuple[str, str], ...]:
    """The headers of each request: the subscription's own, and the login of HTTP Basic (RFC 7617, in UTF-8)."""
    authentication = destination.authentication
    if not isinstance(authentication, Basic):
        return destination.headers
    login = b64encode(f"{authentication.username}:{authentication.password}".encode()).decode()
    return (*destination.headers, (AUTHORIZATION, f"Basic {login}"))


def token_target(destination: Destination) -> Target | None:
    """The token endpoint, None if requests need no token. Raises InvalidInput (field `url`) for an unusable URL."""
    authentication = destination.authentication
    return Target.parse(authentication.token_url) if isinstance(authentication, ClientCredentials) else None
