"""GET and DELETE of a subscription's dead letters."""

from typing import Any
from uuid import UUID

from flask import current_app, url_for
from flask.views import MethodView
from sqlalchemy.orm import Session

from api.extensions.authorization import READERS, WRITERS, requires
from api.extensions.callers import current_caller, transaction
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK, next_page
from api.ports import services_of
from api.resources.dead_letter.schemas import DeadLetterPageSchema, DeadLetterSchema, DeletedSchema, OlderThanSchema
from api.resources.dead_letter.visibility import hidden
from api.resources.dead_letter.wire import Document, place, render
from api.resources.subscription.schemas import ID_IN_PATH
from webhookd import clock, logs
from webhookd.store import audit_log, dead_letters, subscriptions
from webhookd.store.audit_log import Change
from webhookd.store.subscription_tenants import tenant_of

DELETION_S = 10.0
"""One request deletes for this long, which is far less than a client waits for."""

Answer = dict[str, Any]

_log = logs.get(__name__)

blueprint = StrictBlueprint(
    "dead_letter",
    __name__,
    url_prefix="/1/Subscription/<uuid:subscription_id>/DeadLetter",
    description="The dead letters of a subscription: records that were not delivered.",
)


@blueprint.route("", parameters=[ID_IN_PATH])
class DeadLetters(MethodView):
    """The dead letters of one subscription."""

    @requires(READERS)
    @blueprint.arguments(DeadLetterPageSchema, location="query")
    @blueprint.response(
        200,
        DeadLetterSchema(many=True),
        headers=LINK,
    )
    @blueprint.alt_response(404, description="There is neither such a subscription nor a dead letter of it.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: Document, subscription_id: UUID) -> tuple[list[Answer], int, dict[str, str]]:
        """List dead letters, in the order of topic, partition and offset.

        Those of a deleted subscription are listed for as long as they are kept. A tenant sees those that were stored
        before the last change of its topic's policies without their content (`hidden`).
        """
        id_, services = str(subscription_id), services_of(current_app)
        with transaction(services) as session:
            found = dead_letters.page(session, id_, after=page["after"], limit=page["limit"])
            if not found.dead_letters:
                _must_be_known(session, id_)
            without_content = hidden(session, services.settings, found.dead_letters)
        headers = {}
        if found.more:
            following = url_for(
                "dead_letter.DeadLetters", subscription_id=id_, after=place(found.dead_letters[-1]), limit=page["limit"]
            )
            headers = next_page(following)
        shown = zip(found.dead_letters, without_content, strict=True)
        return [render(one, hidden=is_hidden) for one, is_hidden in shown], 200, headers

    @requires(WRITERS)
    @blueprint.arguments(OlderThanSchema, location="query")
    @blueprint.response(200, DeletedSchema)
    @blueprint.alt_response(404, description="There is neither such a subscription nor a dead letter of it.")
    @blueprint.alt_response(503, description="The database cannot be reached; some may be deleted.")
    def delete(self, which: Document, subscription_id: UUID) -> Answer:
        """Delete dead letters for good, all or the older ones.

        Lanes that stopped because of `dead_letters_full` continue within 5 s. The audit log has an entry for each 2,000
        that were deleted.
        """
        id_, services = str(subscription_id), services_of(current_app)
        older_than = which["older_than"].timestamp() if which["older_than"] else None
        until, deleted, last = clock.monotonic() + DELETION_S, 0, dead_letters.PURGE_ROWS
        while last == dead_letters.PURGE_ROWS and clock.monotonic() < until:
            with transaction(services) as session:
                owner = tenant_of(session, id_)
                last = dead_letters.delete_some(session, id_, older_than)
                if last:
                    audit_log.record(session, current_caller(), _deletion(id_, owner, last, which))
                elif not deleted:
                    _must_be_known(session, id_)
            deleted += last
        _log.info("dead_letters_deleted", subscription=id_, count=deleted)
        return {"deleted": deleted, "more": last == dead_letters.PURGE_ROWS}


def _deletion(id_: str, tenant: str | None, count: int, which: Document) -> Change:
    older_than = which["older_than"].isoformat() if which["older_than"] else None
    before = {"dead_letters": count, "older_than": older_than}
    return Change(action="delete", subject_kind="DeadLetter", subject_id=id_, tenant=tenant, before=before)


def _must_be_known(session: Session, id_: str) -> None:
    """Raise NotFound for an id under which neither a subscription nor a dead letter is stored."""
    if not dead_letters.count(session, id_):
        subscriptions.summary(session, id_)
