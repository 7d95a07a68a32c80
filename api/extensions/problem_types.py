"""What each error code of the API means, and what a client does about it.

The API serves a page for each at `/problems/<code>`, and docs/reference/problems has the same pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.extensions.error_responses import (
    INTERNAL,
    STATUS,
    TITLES,
    NotJson,
    NotJsonType,
    TooLarge,
    title_of,
)
from webhookd.errors import (
    AlreadyExists,
    ClusterMismatch,
    Conflict,
    Forbidden,
    GroupDenied,
    IdempotencyKeyReused,
    InvalidInput,
    KafkaAuthenticationFailed,
    KafkaUnavailable,
    LastAdminKey,
    LimitReached,
    Misdirected,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    RequestInProgress,
    SchemaMismatch,
    SecretKeysMissing,
    SecretsUnreadable,
    StoreUnavailable,
    TooManyRequests,
    TopicDenied,
    TopicNotAllowed,
    Unauthenticated,
    UnusableKey,
    UnusableSubscription,
    WebhookdError,
)

AGAIN: Final = "Send the request again, after the seconds that `Retry-After` says."

API_ERRORS: Final[Mapping[type[WebhookdError], tuple[str, str]]] = {
    NotJson: (
        "The request body is not JSON in UTF-8, or it is nested too deeply; `detail` says where, and what was expected "
        "there.",
        "Write the body with a JSON library.",
    ),
    Unauthenticated: (
        "The request has no API key, or one that is unknown, expired or revoked.",
        "Send a valid key in the header `Authorization: Bearer whd_…`. Ask the operators of webhookd for a new one if "
        "yours has expired.",
    ),
    Misdirected: (
        "The API runs without keys, so it answers only requests to this machine by a name of its own: `localhost`, "
        "`*.localhost`, an address of 127.0.0.0/8, or `[::1]`. Otherwise a page in a browser could make a name of its "
        "own resolve to this machine, and change everything.",
        "Use `http://localhost` or `http://127.0.0.1` with the port of the API. To reach it by another name, switch "
        "keys on with `WEBHOOKD_API_AUTH=keys`.",
    ),
    Forbidden: (
        "The role of the API key does not allow this operation.",
        "Use a key with a role that allows it.",
    ),
    TopicNotAllowed: (
        "No policy allows the tenant to read a topic; `errors` names the field.",
        "Ask the operators of webhookd to allow the topic, or choose another one. A subscription that has the topic "
        "from before can be deactivated: send `active: no`.",
    ),
    LimitReached: (
        "The tenant has as many subscriptions as it may have, or there are as many policies as there may be; `detail` "
        "names the limit.",
        "Delete what is not needed any more, or ask the operators of webhookd for a higher limit.",
    ),
    RequestInProgress: (
        "A request with the same `Idempotency-Key` has not ended.",
        AGAIN,
    ),
    IdempotencyKeyReused: (
        "The `Idempotency-Key` was used for another request.",
        "Use a new key for each change.",
    ),
    LastAdminKey: (
        "It is the last admin key that works.",
        "Make another one first, or revoke it with `webhookd keys revoke`.",
    ),
    UnusableKey: (
        "An API key that was revoked, has expired, or was rotated already cannot be rotated.",
        "Make a new key.",
    ),
    AlreadyExists: (
        "A value that must be unique within the tenant is taken; `errors` names the field.",
        "Choose another value, or change the subscription that has it.",
    ),
    PreconditionFailed: (
        "`If-Match` names another version of the resource: somebody has changed it since it was read.",
        "Read it again, and make the change on what it is now.",
    ),
    PreconditionRequired: (
        "This installation demands `If-Match` for changes, and the request has none.",
        "Read the resource, and send its `ETag` in `If-Match`.",
    ),
    TooManyRequests: (
        "The rate limit is used up, or an endpoint is to be asked for its consent again within 5 s; `Retry-After` says "
        "how many seconds to wait.",
        "Wait for that time. Send fewer requests, or ask the operators of webhookd for a higher limit.",
    ),
    NotFound: (
        "There is no such resource, or it belongs to another tenant; or there is no such path.",
        "Check the path and the id.",
    ),
    Conflict: (
        "The request does not fit what there is: another request changed the resource at the same moment, for example.",
        "Read the resource again, and repeat the change if it is still wanted.",
    ),
    UnusableSubscription: (
        "The stored configuration of the subscription cannot be used.",
        "Replace it with a `PUT`.",
    ),
    SecretsUnreadable: (
        "webhookd has no key that decrypts the secrets of the subscription, so it can neither show nor rotate its "
        "signing secret.",
        "The operators of webhookd set `WEBHOOKD_SECRET_KEYS` for the API. If the key is lost, replace the "
        "subscription with a `PUT` that has all secrets written out.",
    ),
    TooLarge: (
        "The request body is larger than `WEBHOOKD_API_BODY_BYTES`.",
        "Send a smaller body; the operators of webhookd can raise the limit.",
    ),
    NotJsonType: (
        "The request body was not sent as `application/json` in UTF-8 without compression; `detail` says what to send.",
        "Send the header `Content-Type: application/json`, and the body without `Content-Encoding`.",
    ),
    InvalidInput: (
        "A field, a parameter or a header is wrong; `errors` names each with the reason and what to write instead.",
        "Correct everything that `errors` lists. The same request fails in the same way.",
    ),
    TopicDenied: (
        "Kafka does not authorise webhookd to use a topic; `errors` names the field.",
        "Ask the operators of webhookd for access to the topic, or choose another one.",
    ),
    KafkaUnavailable: ("The Kafka brokers did not respond in time.", AGAIN),
    KafkaAuthenticationFailed: (
        "Kafka refuses webhookd's login, or the TLS handshake with the brokers failed.",
        f"Tell the operators of webhookd. {AGAIN}",
    ),
    GroupDenied: (
        "Kafka does not authorise webhookd to use the subscription's consumer group.",
        f"Tell the operators of webhookd. {AGAIN}",
    ),
    ClusterMismatch: (
        "The brokers belong to another Kafka cluster than the one this database is about.",
        "Tell the operators of webhookd.",
    ),
    StoreUnavailable: ("The database did not respond in time.", AGAIN),
    SecretKeysMissing: (
        "The subscription has a secret, such as the value of a header or a signing secret, and webhookd has no key to "
        "encrypt it with. Nothing was stored. A new subscription gets a signing secret, unless the `kind` of its "
        "`signing` is `none`. What has no secret can be registered and changed.",
        "The operators of webhookd set `WEBHOOKD_SECRET_KEYS` for the API and the workers.",
    ),
    SchemaMismatch: (
        "The database has no tables of webhookd, or those of another version.",
        f"The operators of webhookd run `webhookd migrate`. {AGAIN}",
    ),
}
"""Errors of webhookd that an answer can carry: the meaning, and what to do."""

HTTP_ERRORS: Final[Mapping[str, tuple[int, str, str]]] = {
    "bad_request": (
        400,
        "The request is not HTTP that can be understood: its first line, a header, or the length or chunks of its body "
        "are broken, or the connection was closed in the middle of it.",
        "Use an HTTP library. If you do, look for a proxy that changes requests.",
    ),
    "method_not_allowed": (
        405,
        "The path exists, but not with this method; the header `Allow` lists its methods.",
        "Use one of them.",
    ),
    "too_slow": (
        408,
        "The request did not arrive within `WEBHOOKD_API_ARRIVAL_TIMEOUT_S`.",
        "Send the request again. Check the network if this happens often.",
    ),
    "uri_too_long": (414, "The first line of the request is longer than 8190 bytes.", "Use shorter parameters."),
    "expectation_failed": (
        417,
        "The header `Expect` has another value than `100-continue`.",
        "Leave the header out.",
    ),
    "headers_too_large": (
        431,
        "The request has more than 64 headers, one of more than 8190 bytes, or more than 32 KiB of them.",
        "Send fewer or shorter headers; cookies are not needed.",
    ),
    INTERNAL: (
        500,
        "webhookd failed in a way that it did not foresee. The cause is in its log, under the id in `instance`.",
        "Tell the operators of webhookd, with `instance`.",
    ),
    "not_implemented": (
        501,
        "The request uses a transfer coding other than `chunked`, or a method that the server does not know.",
        "Send the body with a `Content-Length`.",
    ),
    "overloaded": (503, "So many requests arrive at the same time that there is no memory for another one.", AGAIN),
    "version_not_supported": (
        505,
        "The first line of the request names another version of HTTP.",
        "Use HTTP/1.1. A proxy in front of webhookd may offer other versions.",
    ),
}
"""Errors of HTTP, by their code: status, meaning, and what to do. `not_found` is above."""

OTHER: Final = ("any other", "Any other error of HTTP; `status` and `detail` say which.", "See `detail`.")
"""The code `error`: status, meaning, and what to do."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What one error code means; the texts may have Markdown's code marks."""

    code: str
    status: str
    title: str
    meaning: str
    to_do: str


def status_of(kind: type[WebhookdError]) -> int:
    """The HTTP status with which an error is answered."""
    return next(status.value for base, status in STATUS if issubclass(kind, base))


def _types() -> Mapping[str, ProblemType]:
    ours = [ProblemType(kind.code, str(status_of(kind)), title_of(kind), *texts) for kind, texts in API_ERRORS.items()]
    http = [
        ProblemType(code, str(status), TITLES[code], meaning, to_do)
        for code, (status, meaning, to_do) in HTTP_ERRORS.items()
    ]
    other = ProblemType("error", OTHER[0], TITLES["error"], *OTHER[1:])
    return {found.code: found for found in (*sorted([*ours, *http], key=lambda one: one.status), other)}


PROBLEM_TYPES: Final = _types()
"""Every error code of the API, sorted by status."""
