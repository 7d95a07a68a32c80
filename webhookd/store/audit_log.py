"""The audit log: one row for every change, written in the transaction of the change."""

from dataclasses import asdict, dataclass

from sqlalchemy import insert
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.access.caller import Caller
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.tables import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was changed. `before` and `after` are documents without secrets; None where there is none.

    `action` is a verb: create, change, delete, rotate, revoke. `tenant` is whose subject it is, None for the service's.
    """

    action: str
    subject_kind: str
    subject_id: str
    tenant: str | None = None
    before: Json | None = None
    after: Json | None = None


def record(session: Session, caller: Caller, change: Change) -> None:
    """Write the row of a change."""
    who = {"key_id": caller.key_id, "key_name": caller.name, "role": caller.role.value, "address": caller.address}
    session.execute(insert(AuditLogRow), [{"at": clock.wall_clock(), **who, **asdict(change)}])
