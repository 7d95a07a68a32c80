"""API keys in the database. Every function works inside the caller's transaction."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import CursorResult, Select, and_, func, or_, select, update
from sqlalchemy import insert as insert_into
from sqlalchemy.orm import Session

from webhookd.errors import NotFound, UnusableKey
from webhookd.flow.access.api_key import ApiKey, is_public_part
from webhookd.flow.access.caller import Role
from webhookd.store.access_tables import ApiKeyRow

_TABLE = ApiKeyRow.__table__

_VALID = or_(
    and_(ApiKeyRow.role == Role.ADMIN.value, ApiKeyRow.tenant.is_(None)),
    and_(ApiKeyRow.role.in_([Role.CLIENT.value, Role.VIEWER.value]), ApiKeyRow.tenant.is_not(None)),
)
"""An operator has no tenant, and nobody else may be without one. A row that nobody could have made is no key."""


def known(session: Session, id_: str) -> ApiKey | None:
    """The key with this public part; None when there is none."""
    return _found(session, id_, _all_columns())


def find(session: Session, id_: str) -> ApiKey:
    """The key with this public part; raises NotFound. Postgres locks its row until the transaction ends."""
    found = _found(session, id_, _all_columns().with_for_update())
    if found is None:
        raise NotFound("there is no such API key")
    return found


def page(session: Session, *, after: str = "", limit: int, tenant: str | None = None) -> list[ApiKey]:
    """Up to `limit` keys whose ids follow `after`, in the order of their ids; those of one tenant, or all."""
    query = _all_columns().where(ApiKeyRow.id > after).order_by(ApiKeyRow.id).limit(limit)
    if tenant is not None:
        query = query.where(ApiKeyRow.tenant == tenant)
    return [_key(row) for row in session.execute(query).mappings()]


def insert(session: Session, key: ApiKey) -> None:
    """Store a new key."""
    session.execute(insert_into(ApiKeyRow), [asdict(key)])


def store_revocation(session: Session, key: ApiKey) -> None:
    """Store when a key was revoked, unless it was revoked before."""
    session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key.id, ApiKeyRow.revoked_at.is_(None))
        .values(revoked_at=key.revoked_at)
    )


def store_rotation(session: Session, key: ApiKey) -> None:
    """Store the successor and the end of a rotated key; raises UnusableKey if it was rotated or revoked meanwhile."""
    result = session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key.id, ApiKeyRow.successor_id.is_(None), ApiKeyRow.revoked_at.is_(None))
        .values(expires_at=key.expires_at, successor_id=key.successor_id)
    )
    if not isinstance(result, CursorResult) or result.rowcount != 1:
        raise UnusableKey("the key was rotated or revoked by another request at the same moment")


def store_last_use(session: Session, id_: str, at: float) -> None:
    """Store when a key was last used, unless another process has stored a later time."""
    later = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < at)
    session.execute(update(ApiKeyRow).where(and_(ApiKeyRow.id == id_, later)).values(last_used_at=at))


def usable_admin_keys(session: Session, now: float) -> set[str]:
    """The ids of the admin keys that work. Postgres locks their rows, so that no two requests revoke the last two."""
    query = select(ApiKeyRow.id).where(
        _VALID,
        ApiKeyRow.role == Role.ADMIN.value,
        ApiKeyRow.revoked_at.is_(None),
        or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now),
    )
    return set(session.scalars(query.order_by(ApiKeyRow.id).with_for_update()))


def first_expiry(session: Session, now: float) -> float | None:
    """When the first of the keys that work expires; None if none does.

    Keys that a rotation has replaced are left out: they are to expire.
    """
    query = select(func.min(ApiKeyRow.expires_at)).where(
        _VALID, ApiKeyRow.expires_at > now, ApiKeyRow.revoked_at.is_(None), ApiKeyRow.successor_id.is_(None)
    )
    return session.scalar(query)


def _found(session: Session, id_: str, query: Select[tuple[Any, ...]]) -> ApiKey | None:
    if not is_public_part(id_):
        return None  # Postgres refuses to look for some texts
    row = session.execute(query.where(ApiKeyRow.id == id_)).mappings().first()
    return _key(row) if row is not None else None


def _all_columns() -> Select[tuple[Any, ...]]:
    return select(*_TABLE.columns).where(_VALID)


def _key(row: Mapping[Any, Any]) -> ApiKey:
    return ApiKey(**{**row, "role": Role(row["role"])})
