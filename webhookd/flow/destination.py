"""Where the requests of a subscription go, and how: address, method, signature, authentication, TLS and limits.

No `repr` shows a secret, so that no log line and no traceback does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

LONGEST_TIMEOUT_S = 60.0
"""The longest timeout that a subscription may have. Bounds that hold for all requests count with it."""

DEFAULT_SUCCESS_CODES = ("2xx",)


class Sealed(str):
    """An encrypted secret, as the database holds it. It stands where the secret would stand, until it is decrypted.

    It is known by its type, so that nobody can pass a text off as an encrypted one.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Without the text."""
        return "Sealed()"


class Unencrypted(str):
    """A secret that was stored before webhookd encrypted secrets. Without a key it can stay as it is, and be read."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Without the text."""
        return "Unencrypted()"


class Method(StrEnum):
    """The request methods that a subscription may choose (RFC 9110 §9.3, RFC 5789)."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


class Verification(StrEnum):
    """How an endpoint shows that it wants the requests, before it gets the first one.

    NONE: it is not asked. OPTIONS: the validation request of CloudEvents, HTTP 1.1 Web Hooks for Event Delivery, §4.
    ECHO: it returns the challenge of a signed request.
    """

    NONE = "none"
    OPTIONS = "options"
    ECHO = "echo"


class RateUnit(StrEnum):
    """What a rate limit counts."""

    REQUESTS = "requests"
    RECORDS = "records"


class ClientAuthentication(StrEnum):
    """How a client shows its secret to a token endpoint (RFC 6749 §2.3.1, named as RFC 7591 §2 does)."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"


class Basic(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="basic"):
    """A user's name and password (RFC 7617)."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"Basic(username={self.username!r})"


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="oauth2_client_credentials"):
    """The OAuth 2.0 client credentials grant (RFC 6749 §4.4): a bearer token of `token_url` goes with every request."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""
    audience: str = ""
    client_authentication: ClientAuthentication = ClientAuthentication.BASIC

    def __repr__(self) -> str:
        """Without the secret."""
        return f"ClientCredentials(token_url={self.token_url!r}, client_id={self.client_id!r})"


Authentication = Basic | ClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecret:
    """A secret that signs: `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519), each as Standard Webhooks writes it.

    `expires_at` is in seconds since the epoch; None for the current secret, which does not expire. `public_key` is the
    `whpk_…` of an ed25519 secret, "" of another one: it tells the kind of a secret that is encrypted.
    """

    secret: str = field(repr=False)
    expires_at: float | None = None
    public_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What differs from the operator's settings in TLS; certificates and the key are PEM texts, "" for none.

    `ca_certificates` are trusted beside the system's. `verify` is False only where the operator permits that.
    """

    ca_certificates: str = ""
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The endpoint. `headers` are names and values; `signing` has the current secret first, and is empty: unsigned.

    `success_codes` are status codes ("201") and classes of them ("2xx"). `verified` is True once the endpoint has shown
    that it wants the requests, as `verification` says. With that it may have granted `granted_per_minute` requests a
    minute; None for any number.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    method: Method = Method.POST
    success_codes: tuple[str, ...] = DEFAULT_SUCCESS_CODES
    signing: tuple[SigningSecret, ...] = ()
    authentication: Authentication | None = None
    tls: Tls = Tls()
    verification: Verification = Verification.NONE
    verified: bool | None = None
    granted_per_minute: int | None = None

    @property
    def unverified(self) -> bool:
        """Whether the endpoint must still show that it wants the requests: it gets none before."""
        return self.verification is not Verification.NONE and not self.verified


def with_kept_verification(destination: Destination, stored: Destination) -> Destination:
    """The destination with what the endpoint has shown, if neither the URL nor the way to ask has changed."""
    if (destination.url, destination.verification) != (stored.url, stored.verification):
        return destination
    return replace(destination, verified=stored.verified, granted_per_minute=stored.granted_per_minute)


ChangeSecret = Callable[[str, str], str]
"""Gets the path of a secret, such as `/headers/0`, and its value; returns the value to put in its place."""


def with_secrets(destination: Destination, change: ChangeSecret) -> Destination:
    """The destination with other values in place of its secrets; this is the list of all secrets that it may hold."""
    tls = destination.tls
    return replace(
        destination,
        headers=tuple(
            (name, change(f"/headers/{index}", value)) for index, (name, value) in enumerate(destination.headers)
        ),
        signing=tuple(
            replace(one, secret=change(f"/signing/{index}/secret", one.secret))
            for index, one in enumerate(destination.signing)
        ),
        authentication=_with_secret(destination.authentication, change),
        tls=replace(tls, client_key=change("/tls/client_key", tls.client_key)),
    )


def secrets_of(destination: Destination) -> list[str]:
    """The values of all secrets of a destination, without the empty ones."""
    values: list[str] = []

    def note(_: str, value: str) -> str:
        if value:
            values.append(value)
        return value

    with_secrets(destination, note)
    return values


def _with_secret(authentication: Authentication | None, change: ChangeSecret) -> Authentication | None:
    match authentication:
        case Basic(password=value):
            return msgspec.structs.replace(authentication, password=change("/authentication/password", value))
        case ClientCredentials(client_secret=value):
            return msgspec.structs.replace(authentication, client_secret=change("/authentication/client_secret", value))
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `per_second` of `unit` in the long run, and `burst` of them at once."""

    per_second: float
    burst: int
    unit: RateUnit = RateUnit.REQUESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits of the requests: `timeout_s` for each, from before the DNS look-up to the end of the response.

    Without `timeout_s` the operator's deadline counts, which may change (`WEBHOOKD_REQUEST_DEADLINE_S`).
    `max_concurrent` requests are open at once, over all workers; None for no limit of the subscription.
    """

    timeout_s: float | None = None
    rate_limit: RateLimit | None = None
    max_concurrent: int | None = None
