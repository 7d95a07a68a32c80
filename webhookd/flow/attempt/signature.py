"""Signatures of requests, and the secrets that make them, as Standard Webhooks defines both.

kind          secret                                       signature in the header `webhook-signature`
hmac_sha256   whsec_<base64 of 24 to 64 bytes>             v1,<base64 of the HMAC-SHA256>
ed25519       whsk_<base64 of the 32 bytes of a seed>      v1a,<base64 of the Ed25519 signature>; the public key
                                                           is whpk_<base64 of its 32 bytes>

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`. The timestamp is that of the attempt, in whole seconds, so
a receiver can refuse a request that somebody has recorded and sends again later. While a secret is being replaced, the
header has one signature for each secret, separated by spaces.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import math
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from webhookd.errors import Conflict, InvalidInput
from webhookd.flow.destination import SigningSecret

SECRET_BYTES: Final = 32
"""The length of the secrets that webhookd makes: that of the digest, beyond which HMAC gains nothing (RFC 2104 §3)."""
OVERLAP_S: Final = 86_400.0
OVERLAP_MOST_S: Final = 30 * 86_400.0
"""How long a secret signs after a rotation: by default, and at most."""
SECRETS_MOST: Final = 5
"""The most secrets that sign at the same time. Each costs a signature in every request, and a place in its header."""

Sign = Callable[[bytes, bytes], bytes]
"""Returns the signature of what two byte strings are together."""


class SigningKind(StrEnum):
    """How requests are signed."""

    HMAC_SHA256 = "hmac_sha256"
    ED25519 = "ed25519"
    NONE = "none"


PREFIXES: Final = {SigningKind.HMAC_SHA256: "whsec_", SigningKind.ED25519: "whsk_"}
"""What a secret of each kind begins with."""
PUBLIC_PREFIX: Final = "whpk_"
BOUNDS: Final = {SigningKind.HMAC_SHA256: (24, 64), SigningKind.ED25519: (32, 32)}
"""The least and the most bytes of a secret of each kind. Those of HMAC are the bounds of Standard Webhooks; a key that
is longer than a block of SHA-256 (64 bytes) would have to be hashed first. Ed25519 has one length (RFC 8032)."""


class Signer:
    """The secrets of a subscription, prepared for signing. Immutable, so all threads may use it.

    Raises InvalidInput when a secret cannot be used.
    """

    __slots__ = ("_only", "_signs")

    def __init__(self, signing: Sequence[SigningSecret]) -> None:
        self._signs = [(_until(secret), _sign_of(secret.secret)) for secret in signing]
        self._only = self._signs[0][1] if [until for until, _ in self._signs] == [math.inf] else None

    def signature(self, webhook_id: bytes, at: float, body: bytes) -> bytes:
        """The value of the header `webhook-signature`; `at` is the time of the attempt in seconds since the epoch."""
        head = b"%b.%d." % (webhook_id, at)
        if self._only is not None:
            return self._only(head, body)
        return b" ".join([sign(head, body) for until, sign in self._signs if at < until])


def signer_of(signing: Sequence[SigningSecret]) -> Signer | None:
    """The signer of a destination; None where requests are not signed. Raises InvalidInput."""
    return Signer(signing) if signing else None


def kind_of(signing: Sequence[SigningSecret]) -> SigningKind:
    """How a destination signs its requests: as its current secret does."""
    return kind_of_one(signing[0]) if signing else SigningKind.NONE


def kind_of_one(one: SigningSecret) -> SigningKind:
    """The kind of a secret, which may be encrypted."""
    return SigningKind.ED25519 if one.public_key else SigningKind.HMAC_SHA256


def kind_of_secret(secret: str) -> SigningKind:
    """The kind of a secret, by its prefix; raises InvalidInput, whose text does not have the secret."""
    for kind, prefix in PREFIXES.items():
        if secret.startswith(prefix):
            return kind
    raise InvalidInput("begins with neither whsec_ (HMAC-SHA256) nor whsk_ (Ed25519)")


def new_secret(kind: SigningKind, random: bytes) -> str:
    """The secret that SECRET_BYTES random bytes make."""
    return PREFIXES[kind] + base64.b64encode(random).decode()


def parse_secret(secret: str) -> bytes:
    """Return the bytes of a secret. Raises InvalidInput, whose text does not have the secret."""
    kind, raw = kind_of_secret(secret), _decoded(secret)
    least, most = BOUNDS[kind]
    if not least <= len(raw) <= most:
        wanted = f"{least} bytes" if least == most else f"{least} to {most} bytes"
        raise InvalidInput(f"has {len(raw)} bytes: write {PREFIXES[kind]} and the base64 of {wanted}")
    return raw


def signing_secret(secret: str) -> SigningSecret:
    """The secret with its public key, as a destination has it. Raises InvalidInput."""
    return SigningSecret(secret=secret, public_key=public_key(secret))


def public_key(secret: str) -> str:
    """The public key that verifies what the secret signs, as `whpk_…`; "" for a secret that signs with HMAC."""
    if kind_of_secret(secret) is not SigningKind.ED25519:
        return ""
    public = Ed25519PrivateKey.from_private_bytes(parse_secret(secret)).public_key()
    return PUBLIC_PREFIX + base64.b64encode(public.public_bytes_raw()).decode()


def rotated(
    signing: Sequence[SigningSecret], secret: str, *, overlap_s: float, now: float
) -> tuple[SigningSecret, ...]:
    """The secrets after a rotation: the new one, and for `overlap_s` the current one.

    Earlier ones keep their end. Without an overlap the new one signs alone. Raises Conflict when more than
    SECRETS_MOST would sign, or when the secret signs already.
    """
    valid = still_valid(signing, now)
    if any(one.secret == secret for one in valid):
        raise Conflict("this secret signs already: choose another one")
    previous = [one if one.expires_at else replace(one, expires_at=now + overlap_s) for one in valid if overlap_s]
    if len(previous) >= SECRETS_MOST:
        raise Conflict(f"{SECRETS_MOST} secrets sign already: wait until one expires, or rotate with overlap_seconds 0")
    return (signing_secret(secret), *previous)


def still_valid(signing: Sequence[SigningSecret], now: float) -> tuple[SigningSecret, ...]:
    """The secrets that have not expired."""
    return tuple(secret for secret in signing if now < _until(secret))


def _until(secret: SigningSecret) -> float:
    return math.inf if secret.expires_at is None else secret.expires_at


def _decoded(secret: str) -> bytes:
    encoded = secret.partition("_")[2]
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error is one
        raw = None
    if raw is None or len(encoded) % 4:  # Python ignores `=` that is too much; other languages refuse it
        raise InvalidInput("has something else than base64 after the prefix")
    return raw


def _sign_of(secret: str) -> Sign:
    key = parse_secret(secret)
    return _hmac_sha256(key) if kind_of_secret(secret) is SigningKind.HMAC_SHA256 else _ed25519(key)


def _hmac_sha256(key: bytes) -> Sign:
    """HMAC (RFC 2104) whose key is hashed once. A signature takes less time than with `hmac` or `hashlib`."""
    prepared = HMAC(key, SHA256())

    def sign(head: bytes, body: bytes) -> bytes:
        message = prepared.copy()
        message.update(head)
        message.update(body)
        return b"v1," + b2a_base64(message.finalize(), newline=False)

    return sign


def _ed25519(seed: bytes) -> Sign:
    key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(head: bytes, body: bytes) -> bytes:
        return b"v1a," + b2a_base64(key.sign(head + body), newline=False)

    return sign
