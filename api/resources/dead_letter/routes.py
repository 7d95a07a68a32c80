"""GET and DELETE of a subscription's dead letters."""

from typing import Any
from uuid import UUID

from flask import current_app, url_for
from flask.views import MethodView
from sqlalchemy.orm import Session

from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.dead_letter.schemas import DeadLetterPageSchema, DeadLetterSchema, DeletedSchema, OlderThanSchema
from api.resources.dead_letter.wire import Document, place, render
from webhookd import clock, logs
from webhookd.store import dead_letters, subscriptions

DELETION_S = 10.0
"""How long one request deletes: far below what a client waits for."""

Answer = dict[str, Any]

_log = logs.get(__name__)

blueprint = StrictBlueprint(
    "dead_letter",
    __name__,
    url_prefix="/1/Subscription/<uuid:subscription_id>/DeadLetter",
    description="Records of a subscription that were put aside",
)


@blueprint.route("")
class DeadLetters(MethodView):
    """The dead letters of one subscription."""

    @blueprint.arguments(DeadLetterPageSchema, location="query")
    @blueprint.response(
        200,
        DeadLetterSchema(many=True),
        headers={"Link": {"description": '<…>; rel="next" when there is more', "schema": {"type": "string"}}},
    )
    @blueprint.alt_response(404, description="there is neither such a subscription nor a dead letter of it")
    @blueprint.alt_response(503, description="the database cannot be reached")
    def get(self, page: Document, subscription_id: UUID) -> tuple[list[Answer], int, dict[str, str]]:
        """List dead letters by topic, partition and offset; those of a deleted subscription are kept for a while."""
        id_ = str(subscription_id)
        with services_of(current_app).database.transaction() as session:
            found = dead_letters.page(session, id_, after=page["after"], limit=page["limit"])
            if not found.dead_letters:
                _must_be_known(session, id_)
        headers = {}
        if found.more:
            following = url_for(
                "dead_letter.DeadLetters", subscription_id=id_, after=place(found.dead_letters[-1]), limit=page["limit"]
            )
            headers["Link"] = f'<{following}>; rel="next"'
        return [render(one) for one in found.dead_letters], 200, headers

    @blueprint.arguments(OlderThanSchema, location="query")
    @blueprint.response(200, DeletedSchema)
    @blueprint.alt_response(404, description="there is neither such a subscription nor a dead letter of it")
    @blueprint.alt_response(503, description="the database cannot be reached; some may be deleted")
    def delete(self, which: Document, subscription_id: UUID) -> Answer:
        """Delete dead letters for good, all or the older ones; lanes that wait for room go on within seconds."""
        id_, database = str(subscription_id), services_of(current_app).database
        older_than = which["older_than"].timestamp() if which["older_than"] else None
        until, deleted, last = clock.monotonic() + DELETION_S, 0, dead_letters.PURGE_ROWS
        while last == dead_letters.PURGE_ROWS and clock.monotonic() < until:
            with database.transaction() as session:
                last = dead_letters.delete_some(session, id_, older_than)
                if not deleted and not last:
                    _must_be_known(session, id_)
            deleted += last
        _log.info("dead_letters_deleted", subscription=id_, count=deleted)
        return {"deleted": deleted, "more": last == dead_letters.PURGE_ROWS}


def _must_be_known(session: Session, id_: str) -> None:
    """NotFound for an id that nothing is stored under."""
    if not dead_letters.count(session, id_):
        subscriptions.summary(session, id_)
