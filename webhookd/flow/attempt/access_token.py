"""Access tokens of the OAuth 2.0 client credentials grant (RFC 6749 §4.4): the request for one, and its outcome.

outcome of the request                         result
2xx with a bearer token                        AccessToken
2xx with anything else                         token_malformed
408, 425, 429, 5xx, no response                token_unavailable
any other status; redirects are not followed   token_refused
the egress policy refuses the URL or address   token_not_allowed
webhookd stops                                 shutdown, as it is

No result repeats what the token endpoint sent, except for an error code of the RFCs: an answer may hold a secret.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from math import isfinite
from typing import Final
from urllib.parse import quote_plus, urlencode

import msgspec

from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.header import MASK
from webhookd.flow.attempt.response_body import uncompressed
from webhookd.flow.attempt.response_head import retry_after_s
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.destination import ClientAuthentication, ClientCredentials

RESPONSE_BYTES: Final = 64 * 1024
"""The most of a token endpoint's answer that is read. Tokens with many claims have some kB."""

DEFAULT_LIFETIME_S: Final = 300.0
"""The lifetime of a token whose answer names none: shorter than that of any usual token endpoint."""

LONGEST_LIFETIME_S: Final = 86_400.0
"""A token is replaced daily, whatever its answer says."""

RENEWAL_S: Final = 60.0
RENEWAL_SHARE: Final = 0.25
"""A token is renewed this long before its end, or in the last quarter of a short life; meanwhile it is still used."""

LAST_USE_S: Final = 10.0
LAST_USE_SHARE: Final = 0.1
"""A token is not sent any more this long before its end: the request takes time, and the clocks differ."""

ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",  # to here RFC 6749 §5.2
        "invalid_target",  # RFC 8707 §2
        "access_denied",
        "server_error",
        "temporarily_unavailable",
    }
)
"""Error codes that are shown; another text may hold anything."""

_BEGIN: Final = b"Authorization: Bearer "
_END: Final = b"\r\n"
_TOKEN = re.compile(r"[\x21-\x7e]+")  # RFC 6749 A.12, without the space, which RFC 6750 does not allow in the header
_RETRYABLE_STATUS = frozenset({408, 425, 429})
_NOT_ALLOWED = frozenset({FailureCode.ADDRESS_REFUSED, FailureCode.URL_REFUSED})
_LEAST_RECOGNISED_BYTES = 8  # of a token that is cut off at the end of a text
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token as the header line of a request, and its times in monotonic seconds.

    From `renew_at` on another one is asked for; from `expires_at` on it is not used.
    """

    line: bytes = field(repr=False)
    renew_at: float
    expires_at: float


class _Granted(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # not every endpoint says it, and there is no other usual type
    expires_in: float | str | None = None


class _Refused(msgspec.Struct):
    error: str = ""


_granted = msgspec.json.Decoder(_Granted)
_refusal = msgspec.json.Decoder(_Refused)


def token_request(credentials: ClientCredentials, target: Target) -> bytes:
    """The whole request for a token; raises InvalidInput for credentials that no header can carry."""
    form = {"grant_type": "client_credentials", "scope": credentials.scope, "audience": credentials.audience}
    headers = [("Accept", "application/json")]
    if credentials.client_authentication is ClientAuthentication.POST:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
        headers.append(("Authorization", f"Basic {_login(credentials)}"))
    body = urlencode({name: value for name, value in form.items() if value}).encode()
    return b"%bContent-Length: %d\r\n\r\n%b" % (request_head(target, headers, _FORM), len(body), body)


def read_token(outcome: Outcome, now: float, wall_now: float) -> AccessToken | Failure:
    """Return the token that the token endpoint has granted, or why there is none; never raises.

    `now` is in monotonic seconds, `wall_now` in seconds since the epoch (for a `Retry-After` that is a date).
    """
    if isinstance(outcome, Failure):
        return _unreachable(outcome)
    if not 200 <= outcome.status < 300:
        return _refused(outcome, wall_now)
    try:
        granted = _granted.decode(outcome.body)
        lifetime_s = _lifetime_s(granted.expires_in)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and those of UTF-8
        return _failure(FailureCode.TOKEN_MALFORMED, "the token endpoint's answer is not that of OAuth 2.0", outcome)
    if granted.token_type.lower() != "bearer" or not _TOKEN.fullmatch(granted.access_token):
        return _failure(FailureCode.TOKEN_MALFORMED, "the token endpoint's answer has no bearer token", outcome)
    since = now - outcome.elapsed_s
    return AccessToken(
        line=_BEGIN + granted.access_token.encode() + _END,
        renew_at=since + lifetime_s - min(RENEWAL_S, RENEWAL_SHARE * lifetime_s),
        expires_at=since + lifetime_s - min(LAST_USE_S, LAST_USE_SHARE * lifetime_s),
    )


def without_token(response: Response, line: bytes) -> Response:
    """The response of an endpoint that repeats the token of the request, with the mask in its place."""
    token = line.removeprefix(_BEGIN).removesuffix(_END)
    head, body = uncompressed(response.head, response.body)
    if token[:_LEAST_RECOGNISED_BYTES] not in head + body:
        return response
    return msgspec.structs.replace(response, head=_masked(head, token), body=_masked(body, token))


def _masked(text: bytes, token: bytes) -> bytes:
    text = text.replace(token, MASK.encode())
    cut = text.rfind(token[:_LEAST_RECOGNISED_BYTES], max(0, len(text) - len(token)))
    return text[:cut] + MASK.encode() if cut >= 0 and token.startswith(text[cut:]) else text


def _login(credentials: ClientCredentials) -> str:
    """The client's login: id and secret are form-encoded before they are joined (RFC 6749 §2.3.1)."""
    return b64encode(f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}".encode()).decode()


def _lifetime_s(expires_in: float | str | None) -> float:
    """The lifetime in seconds; some endpoints write a string. Raises ValueError unless it is a time."""
    if expires_in is None:
        return DEFAULT_LIFETIME_S
    lifetime_s = float(expires_in)
    if not isfinite(lifetime_s) or lifetime_s <= 0:
        raise ValueError("not a lifetime")
    return min(lifetime_s, LONGEST_LIFETIME_S)


def _unreachable(failure: Failure) -> Failure:
    if failure.code is FailureCode.SHUTDOWN:
        return failure
    not_allowed = failure.code in _NOT_ALLOWED
    code = FailureCode.TOKEN_NOT_ALLOWED if not_allowed else FailureCode.TOKEN_UNAVAILABLE
    return _failure(code, f"the token endpoint: {failure.code}: {failure.detail}", failure)


def _refused(response: Response, wall_now: float) -> Failure:
    retryable = response.status >= 500 or response.status in _RETRYABLE_STATUS
    code = FailureCode.TOKEN_UNAVAILABLE if retryable else FailureCode.TOKEN_REFUSED
    error = _error_of(response.body)
    said = f"the token endpoint answered {response.status}" + (f" ({error})" if error else "")
    return _failure(code, said, response, retry_after_s(response.head, wall_now) or 0.0)


def _error_of(body: bytes) -> str:
    try:
        error = _refusal.decode(body).error
    except (ValueError, RecursionError):
        return ""
    return error if error in ERRORS else ""


def _failure(code: FailureCode, detail: str, outcome: Outcome, wait_s: float = 0.0) -> Failure:
    return Failure(code=code, detail=detail, elapsed_s=outcome.elapsed_s, sent=False, retry_after_s=wait_s)
