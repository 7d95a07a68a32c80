"""Maps the signing of a destination from documents and to them; makes the secrets that a client does not give."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from api.resources.status.rendering import iso
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.header import MASK, is_masked
from webhookd.flow.attempt.signature import (
    SECRET_BYTES,
    SigningKind,
    kind_of,
    kind_of_secret,
    new_secret,
    public_key,
    still_valid,
)
from webhookd.flow.destination import SigningSecret
from webhookd.flow.subscription import Subscription

FIELD = "destination.webhook.signing.secret"
"""The path of the secret in the document of a subscription."""

Signing = tuple[SigningSecret, ...]


def parse_signing(document: Mapping[str, Any] | None, stored: Subscription | None) -> Signing:
    """Return what a validated document says; a secret that it does not have is the stored one, or a new one.

    A PUT without the document keeps what is stored, so that a client that does not know the field changes nothing.
    Raises InvalidInput for a masked secret where none is stored.
    """
    known = stored.destination.signing if stored is not None else ()
    if document is None:
        return known if stored is not None else (made(SigningKind.HMAC_SHA256),)
    kind, given = SigningKind(document["kind"]), document["secret"]
    if kind is SigningKind.NONE:
        return ()
    if given is not None and not is_masked(given):
        return known if known and known[0].secret == given else (SigningSecret(secret=given),)
    if given is not None and not known:
        raise InvalidInput("is masked, and there is no stored value to keep", field=FIELD)
    return known if kind_of(known) is kind else (made(kind),)


def made(kind: SigningKind) -> SigningSecret:
    """A new secret from the system's source of random numbers."""
    return SigningSecret(secret=new_secret(kind, secrets.token_bytes(SECRET_BYTES)))


def render_signing(signing: Sequence[SigningSecret]) -> dict[str, Any]:
    """The signing in the document of a subscription: the secret is masked."""
    return _described(signing) | ({"secret": MASK} if signing else {})


def render_secret(signing: Sequence[SigningSecret], now: float, *, shown: bool) -> dict[str, Any]:
    """The document of the secret itself, with or without it; `now` is in seconds since the epoch."""
    secret = {"secret": signing[0].secret} if signing and shown else {}
    previous = [
        {"kind": kind_of_secret(one.secret).value, **_public(one), "expires_at": iso(one.expires_at)}
        for one in still_valid(signing[1:], now)
        if one.expires_at is not None
    ]
    return {**_described(signing), **secret, "previous": previous}


def _described(signing: Sequence[SigningSecret]) -> dict[str, Any]:
    return {"kind": kind_of(signing).value, **(_public(signing[0]) if signing else {})}


def _public(secret: SigningSecret) -> dict[str, str]:
    key = public_key(secret.secret)
    return {} if key is None else {"public_key": key}
