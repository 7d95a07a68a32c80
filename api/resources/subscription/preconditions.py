"""ETags of subscriptions, and the preconditions of a request (RFC 9110, sections 8.8.3 and 13).

request              precondition       when it does not hold
GET                  If-None-Match      304
PUT, PATCH, DELETE   If-None-Match      412
all of these         If-Match           412; 428 without it on PUT, PATCH and DELETE, when a setting demands it

The ETag is strong, and made from the document that GET shows and its revision, which also counts the changes of masked
values. It changes with every change by a client, and when webhookd deactivates the subscription; policies do not
change it. flask-smorest's own ETags would demand If-Match on every change, do not know `*`, and cannot be compared in
the transaction that writes.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from werkzeug.datastructures import ETags
from werkzeug.wrappers import Request

from api.resources.subscription.wire import render
from webhookd.errors import Conflict, PreconditionFailed, PreconditionRequired
from webhookd.flow.subscription import Subscription

CHARACTERS: Final = 32
"""128 bits in hexadecimal: two documents do not get the same one by chance."""

ETAG_HEADER: Final[dict[str, Any]] = {
    "ETag": {
        "description": "The version of the subscription, for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
    }
}
IF_MATCH: Final[dict[str, Any]] = {
    "in": "header",
    "name": "If-Match",
    "description": "ETags, or `*`. If the subscription has none of them, the answer is 412 and nothing changes.",
    "schema": {"type": "string"},
    "required": False,
}
IF_NONE_MATCH: Final[dict[str, Any]] = {
    "in": "header",
    "name": "If-None-Match",
    "description": "ETags, or `*`. If the subscription has one of them, the answer is 304 without a body.",
    "schema": {"type": "string"},
    "required": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """What must hold for the stored subscription when a request changes it; None for a header that is absent.

    `unchanged` is the subscription to which a patch was applied; None for other requests.
    """

    if_match: ETags | None = None
    if_none_match: ETags | None = None
    unchanged: Subscription | None = None

    def check(self, stored: Subscription | None) -> None:
        """Raise PreconditionFailed, or Conflict when it is not what a patch was applied to.

        `stored` is None when the stored configuration cannot be used. It has no ETag; If-Match: * holds for it.
        """
        if self.if_match is not None and not _match(self.if_match, stored):
            raise PreconditionFailed
        if self.if_none_match is not None and _match(self.if_none_match, stored, weak=True):
            raise PreconditionFailed("If-None-Match names the version of the resource")
        if self.unchanged is not None and self.unchanged != stored:
            raise Conflict


def preconditions_of(request: Request, *, required: bool) -> Preconditions:
    """The preconditions of a request that changes a subscription; raises PreconditionRequired."""
    if required and "If-Match" not in request.headers:
        raise PreconditionRequired
    return Preconditions(if_match=_tags(request, "If-Match"), if_none_match=_tags(request, "If-None-Match"))


def not_modified(request: Request, stored: Subscription) -> bool:
    """Whether a GET gets 304; raises PreconditionFailed when If-Match does not hold."""
    Preconditions(if_match=_tags(request, "If-Match")).check(stored)
    given = _tags(request, "If-None-Match")
    return given is not None and _match(given, stored, weak=True)


def etag_of(subscription: Subscription) -> str:
    """The opaque tag, without quotation marks."""
    shown = render(subscription) | {"revision": subscription.history.revision}
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:CHARACTERS]


def etag_header(subscription: Subscription) -> dict[str, str]:
    """The header of an answer that shows the subscription."""
    return {"ETag": f'"{etag_of(subscription)}"'}


def _tags(request: Request, name: str) -> ETags | None:
    # An empty header names no version: it must not count as absent.
    if name not in request.headers:
        return None
    return request.if_match if name == "If-Match" else request.if_none_match


def _match(given: ETags, stored: Subscription | None, *, weak: bool = False) -> bool:
    if given.star_tag or stored is None:
        return given.star_tag
    return given.contains_weak(etag_of(stored)) if weak else given.contains(etag_of(stored))
