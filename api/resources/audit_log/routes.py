"""GET of the audit log."""

from typing import Any

from flask import current_app, request, url_for
from flask.views import MethodView

from api.extensions.authorization import ADMINS, requires
from api.extensions.callers import transaction
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK, next_page
from api.ports import services_of
from api.resources.audit_log.schemas import AuditEntrySchema, AuditQuerySchema
from api.resources.status.rendering import iso
from webhookd.store import audit_log
from webhookd.store.access_tables import AuditLogRow

EQUAL = ("key_id", "subject_kind", "subject_id", "tenant", "action")
"""The parameters that a column has to be equal to."""

blueprint = StrictBlueprint(
    "audit_log",
    __name__,
    url_prefix="/1/AuditLog",
    description="Who has changed what, when and from where; for operators.",
)


@blueprint.route("")
class AuditLog(MethodView):
    """The entries of the audit log."""

    @requires(ADMINS)
    @blueprint.arguments(AuditQuerySchema, location="query")
    @blueprint.response(
        200,
        AuditEntrySchema(many=True),
        headers=LINK,
    )
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, query: dict[str, Any]) -> tuple[list[dict[str, Any]], int, dict[str, str]]:
        """List changes, the newest first.

        Every change of a subscription, of its dead letters, of an API key, of a policy and of the switch is stored in
        the transaction that makes it, and so is each time that a signing secret is read. Header values, secrets and
        keys are masked in `before` and `after`. Entries are kept for `WEBHOOKD_AUDIT_RETENTION_S`.
        """
        with transaction(services_of(current_app)) as session:
            found = audit_log.page(session, _criteria(query), after=query["after"], limit=query["limit"])
        headers = next_page(_url_after(found.rows[-1])) if found.more else {}
        return [_rendered(row) for row in found.rows], 200, headers


def _criteria(query: dict[str, Any]) -> audit_log.Criteria:
    return audit_log.Criteria(
        equal={name: query[name] for name in EQUAL if query[name] is not None},
        since=query["since"].timestamp() if query["since"] else None,
        until=query["until"].timestamp() if query["until"] else None,
    )


def _url_after(last: AuditLogRow) -> str:
    query: dict[str, Any] = {**request.args, "after": f"{last.at!r}:{last.id}"}
    return url_for("audit_log.AuditLog", **query)


def _rendered(row: AuditLogRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": iso(row.at),
        "key_id": row.key_id,
        "key_name": row.key_name,
        "role": row.role,
        "address": row.address,
        "tenant": row.tenant,
        "action": row.action,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "before": row.before,
        "after": row.after,
    }
