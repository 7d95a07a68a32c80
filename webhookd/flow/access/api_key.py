"""API keys: what they look like, when they are valid, and what revocation and rotation do to them.

    whd_3f9a04c1d2e85b7766aa_5c0e…    the prefix, the public part, the secret part

The public part finds the key in the database. The secret part is 256 random bits; only its SHA-256 is stored. That is
enough: a slow hash protects passwords that can be guessed, and nobody can guess 256 random bits.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from webhookd.errors import UnusableKey
from webhookd.flow.access.caller import Caller, Role

PREFIX: Final = "whd"
PUBLIC_BYTES: Final = 10
SECRET_BYTES: Final = 32

OVERLAP_S: Final = 86_400.0
"""How long a rotated key stays valid unless its owner chooses another time."""
OVERLAP_MOST_S: Final = 30 * 86_400.0

LIFETIME_LEAST_S: Final = 1.0
LIFETIME_MOST_S: Final = 3650 * 86_400.0

NAME_MOST: Final = 200

PATTERN: Final = re.compile(rf"{PREFIX}_[0-9a-f]{{{2 * PUBLIC_BYTES}}}_[0-9a-f]{{{2 * SECRET_BYTES}}}")
"""A whole key, as log lines must not contain it."""

_PUBLIC: Final = re.compile(rf"[0-9a-f]{{{2 * PUBLIC_BYTES}}}")

_DUMMY_HASH: Final = hashlib.sha256(b"").hexdigest()
"""Compared with the secret of an unknown key; no secret of 32 bytes has it."""


class KeyState(StrEnum):
    """Whether a key can be used now."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """A key as its owner sends it. It is never shown as text by accident: `repr` has the public part only."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"Token({self.public!r})"

    @property
    def text(self) -> str:
        """The whole key; it must go to its owner and nowhere else."""
        return f"{PREFIX}_{self.public}_{self.secret}"

    @property
    def secret_hash(self) -> str:
        """What is stored of the secret part: its SHA-256 in hexadecimal."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A stored key; times are seconds since the epoch. `tenant` is None for the role admin."""

    id: str
    secret_hash: str
    name: str
    role: Role
    tenant: str | None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    successor_id: str | None = None

    def state(self, now: float) -> KeyState:
        """Whether it can be used at that time."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    def caller(self, address: str) -> Caller:
        """Who makes a request with this key from that address."""
        return Caller(role=self.role, tenant=self.tenant, key_id=self.id, name=self.name, address=address)


def token_of(public: bytes, secret: bytes) -> Token:
    """The key that consists of these random bytes, which must come from the operating system."""
    if (len(public), len(secret)) != (PUBLIC_BYTES, SECRET_BYTES):
        raise ValueError(f"a key has {PUBLIC_BYTES} and {SECRET_BYTES} random bytes")
    return Token(public.hex(), secret.hex())


def parse(text: str) -> Token | None:
    """The key in a text; None for everything that is no key."""
    if PATTERN.fullmatch(text) is None:
        return None
    _, public, secret = text.split("_")
    return Token(public, secret)


def is_public_part(text: str) -> bool:
    """Whether a text can be the public part of a key."""
    return _PUBLIC.fullmatch(text) is not None


def is_secret_of(token: Token, key: ApiKey | None) -> bool:
    """Whether the token is this key. An unknown key (None) takes the same time as a wrong secret."""
    stored = key.secret_hash if key is not None else _DUMMY_HASH
    return hmac.compare_digest(token.secret_hash, stored) and key is not None


def revoked(key: ApiKey, now: float) -> ApiKey:
    """The key after its revocation; a key that is revoked already stays as it is."""
    return key if key.revoked_at is not None else replace(key, revoked_at=now)


def rotated(key: ApiKey, successor_id: str, *, overlap_s: float, now: float) -> ApiKey:
    """The old key after a rotation: it expires after the overlap, or earlier if it would anyway.

    Raises UnusableKey for a key that is not active or was rotated before.
    """
    if key.successor_id is not None:
        raise UnusableKey(f"the key was rotated already: {key.successor_id} replaces it")
    if (state := key.state(now)) is not KeyState.ACTIVE:
        raise UnusableKey(f"the key is {state.value}: make a new one")
    ends = now + overlap_s
    return replace(
        key, expires_at=ends if key.expires_at is None else min(key.expires_at, ends), successor_id=successor_id
    )


def successor_expiry(key: ApiKey, now: float) -> float | None:
    """When the successor of a key expires unless its owner says otherwise: it lives as long as the key was to live."""
    return None if key.expires_at is None else now + (key.expires_at - key.created_at)
