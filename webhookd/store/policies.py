"""Authorization policies in the database. Every function works inside the caller's transaction.

The policies have one version together, which grows with every change. A change locks its row, so changes happen one
after another. A transaction that stores a subscription holds the same lock in shared mode (`lock`): so every change
finds the subscriptions that were stored under the policies before it, and gives them a new version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.errors import LimitReached, NotFound
from webhookd.flow.access.caller import Caller
from webhookd.flow.policy.policy import Policy, PolicySet
from webhookd.store import audit_log
from webhookd.store.access_tables import PolicyRow, PolicySetRow, PolicyVersionRow
from webhookd.store.audit_log import Change
from webhookd.store.dialects import insert_new
from webhookd.store.policy_concerns import concerned, new_versions
from webhookd.store.policy_rows import document_of, policy_of
from webhookd.store.tables import Json

ROW = 1
"""There is one row with the version; the first use inserts it."""

_TABLE = PolicyRow.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A policy, and when it was written first and last (seconds since the epoch)."""

    policy: Policy
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One version of a policy as it was written; `document` is None for its deletion."""

    version: int
    document: Json | None
    changed_at: float
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """What a change led to: the version of all policies, and the subscriptions that it concerns."""

    version: int
    subscriptions: int


def version(session: Session) -> int:
    """The version of all policies together; 0 before the first change."""
    return session.scalar(select(PolicySetRow.version).where(PolicySetRow.id == ROW)) or 0


def lock(session: Session) -> None:
    """Let no policy change before this transaction ends; a transaction that stores a subscription needs this."""
    query = select(PolicySetRow.version).where(PolicySetRow.id == ROW).with_for_update(read=True)
    if session.scalar(query) is None:
        insert_new(session, PolicySetRow, [{"id": ROW, "version": 0}])
        session.scalar(query)


def read(session: Session) -> PolicySet:
    """All policies. Between the two statements they may change: compare the version before and after, or `lock`."""
    rows = session.execute(select(*_TABLE.columns).order_by(PolicyRow.id)).mappings()
    return PolicySet(version=version(session), policies=tuple(policy_of(dict(row)) for row in rows))


def read_all(session: Session) -> list[StoredPolicy]:
    """All policies with their times, in the order of their ids."""
    rows = session.execute(select(*_TABLE.columns).order_by(PolicyRow.id)).mappings()
    return [_stored(dict(row)) for row in rows]


def find(session: Session, id_: str) -> StoredPolicy:
    """One policy; raises NotFound."""
    row = session.execute(select(*_TABLE.columns).where(PolicyRow.id == id_)).mappings().first()
    if row is None:
        raise NotFound(f"there is no policy {id_}")
    return _stored(dict(row))


def history(session: Session, id_: str, *, before: int | None, limit: int) -> list[PolicyVersion]:
    """Versions of a policy, also of a deleted one, the newest first; raises NotFound when it never existed."""
    query = select(PolicyVersionRow).where(PolicyVersionRow.policy_id == id_)
    if before is not None:
        query = query.where(PolicyVersionRow.version < before)
    rows = session.scalars(query.order_by(PolicyVersionRow.version.desc()).limit(limit)).all()
    if not rows and before is None:
        raise NotFound(f"there is no policy {id_}")
    return [
        PolicyVersion(version=row.version, document=row.document, changed_at=row.changed_at, changed_by=row.changed_by)
        for row in rows
    ]


def create(session: Session, policy: Policy, caller: Caller, *, limit: int) -> PolicyChange:
    """Store a new policy; raises LimitReached when there are as many as the limit."""
    before = _locked(session)
    if len(before.policies) >= limit:
        raise LimitReached(f"there are {limit} policies already, as many as WEBHOOKD_POLICY_LIMIT allows")
    now = clock.wall_clock()
    session.execute(insert(PolicyRow), [_row(policy) | {"id": policy.id, "created_at": now, "updated_at": now}])
    return _changed(session, before, caller, after=policy)


def replace(session: Session, policy: Policy, caller: Caller) -> PolicyChange:
    """Store the next version in place of the stored one, whatever `policy.version` is; raises NotFound."""
    before = _locked(session)
    known = find(session, policy.id).policy
    written = _row(policy) | {"version": known.version + 1, "updated_at": clock.wall_clock()}
    session.execute(update(PolicyRow).where(PolicyRow.id == policy.id).values(**written))
    return _changed(session, before, caller, known=known, after=policy)


def delete(session: Session, id_: str, caller: Caller) -> PolicyChange:
    """Delete a policy; its history stays. Raises NotFound."""
    before = _locked(session)
    known = find(session, id_).policy
    session.execute(delete_from(PolicyRow).where(PolicyRow.id == id_))
    return _changed(session, before, caller, known=known)


def _locked(session: Session) -> PolicySet:
    insert_new(session, PolicySetRow, [{"id": ROW, "version": 0}])
    session.scalar(select(PolicySetRow.version).where(PolicySetRow.id == ROW).with_for_update())
    return read(session)


def _changed(
    session: Session, before: PolicySet, caller: Caller, *, known: Policy | None = None, after: Policy | None = None
) -> PolicyChange:
    """Write the new version of everything that a change has an effect on, the policy's history, and the audit log."""
    session.execute(update(PolicySetRow).where(PolicySetRow.id == ROW).values(version=PolicySetRow.version + 1))
    policies = read(session)
    _record(session, caller, known, after)
    ids = concerned(session, before, policies, [one.topic for one in (known, after) if one is not None])
    new_versions(session, ids)
    return PolicyChange(version=policies.version, subscriptions=len(ids))


def _record(session: Session, caller: Caller, known: Policy | None, after: Policy | None) -> None:
    policy = after or known
    if policy is None:
        return
    document = document_of(after) if after else None
    row = {
        "policy_id": policy.id,
        "version": known.version + 1 if known else 1,
        "document": document,
        "changed_at": clock.wall_clock(),
        "changed_by": _name_of(caller),
    }
    session.execute(insert(PolicyVersionRow), [row])
    change = Change(
        action="create" if known is None else "change" if after else "delete",
        subject_kind="Policy",
        subject_id=policy.id,
        tenant=policy.tenant,
        before=document_of(known) if known else None,
        after=document,
    )
    audit_log.record(session, caller, change)


def _name_of(caller: Caller) -> str:
    return " ".join(part for part in (caller.name, f"({caller.key_id})" if caller.key_id else "") if part)


def _row(policy: Policy) -> dict[str, Any]:
    document = {name: value for name, value in document_of(policy).items() if name != "id"}
    return document | {"version": policy.version, "projection": document["projection"] or {}}


def _stored(row: Mapping[str, Any]) -> StoredPolicy:
    return StoredPolicy(policy=policy_of(row), created_at=row["created_at"], updated_at=row["updated_at"])
