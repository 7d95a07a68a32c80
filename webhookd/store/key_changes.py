"""Making, rotating and revoking API keys, each with its row in the audit log; inside the caller's transaction.

The API and `webhookd keys` both do it here. Neither a secret nor its hash is in the audit log.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from webhookd.errors import LastAdminKey
from webhookd.flow.access import api_key
from webhookd.flow.access.api_key import PUBLIC_BYTES, SECRET_BYTES, ApiKey, KeyState, Token, token_of
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import api_keys, audit_log
from webhookd.store.audit_log import Change
from webhookd.store.tables import Json

SUBJECT = "Key"
"""The kind of the subject in the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a new key is to be; `expires_at` is in seconds since the epoch, None for a key that does not expire."""

    name: str
    role: Role
    tenant: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key with its token, which is not stored: whoever asked for it gets it once."""

    key: ApiKey
    token: Token


def create(session: Session, caller: Caller, wanted: NewKey, now: float) -> MadeKey:
    """Make a key."""
    made = _made(wanted, now)
    api_keys.insert(session, made.key)
    _record(session, caller, "create", None, made.key)
    return made


def rotate(
    session: Session, caller: Caller, id_: str, *, overlap_s: float, expires_at: float | None, now: float
) -> MadeKey:
    """Make the successor of a key; the key expires after the overlap. Raises NotFound and UnusableKey.

    The successor has its name, role and tenant, and lives as long as the key was to live unless `expires_at` is given.
    """
    before = api_keys.find(session, id_)
    wanted = NewKey(
        name=before.name,
        role=before.role,
        tenant=before.tenant,
        expires_at=api_key.successor_expiry(before, now) if expires_at is None else expires_at,
    )
    made = _made(wanted, now)
    after = api_key.rotated(before, made.key.id, overlap_s=overlap_s, now=now)
    api_keys.store_rotation(session, after)
    api_keys.insert(session, made.key)
    _record(session, caller, "rotate", before, after)
    _record(session, caller, "create", None, made.key)
    return made


def revoke(session: Session, caller: Caller, id_: str, *, now: float, even_the_last: bool = False) -> ApiKey:
    """Revoke a key; one that is revoked already stays as it is. Raises NotFound.

    Raises LastAdminKey for the last admin key that works, unless `even_the_last`.
    """
    usable = api_keys.usable_admin_keys(session, now)
    before = api_keys.find(session, id_)
    if before.state(now) is KeyState.REVOKED:
        return before
    if usable == {id_} and not even_the_last:
        raise LastAdminKey
    after = api_key.revoked(before, now)
    api_keys.store_revocation(session, after)
    _record(session, caller, "revoke", before, after)
    return after


def _made(wanted: NewKey, now: float) -> MadeKey:
    token = token_of(secrets.token_bytes(PUBLIC_BYTES), secrets.token_bytes(SECRET_BYTES))
    key = ApiKey(
        id=token.public,
        secret_hash=token.secret_hash,
        name=wanted.name,
        role=wanted.role,
        tenant=wanted.tenant,
        created_at=now,
        expires_at=wanted.expires_at,
    )
    return MadeKey(key, token)


def _record(session: Session, caller: Caller, action: str, before: ApiKey | None, after: ApiKey) -> None:
    change = Change(
        action=action,
        subject_kind=SUBJECT,
        subject_id=after.id,
        tenant=after.tenant,
        before=_document(before) if before is not None else None,
        after=_document(after),
    )
    audit_log.record(session, caller, change)


def _document(key: ApiKey) -> Json:
    return {
        "name": key.name,
        "role": key.role.value,
        "tenant": key.tenant,
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "successor_id": key.successor_id,
    }


def _iso(at: float | None) -> str | None:
    """A time as the API shows it."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
