"""POST, GET and DELETE of API keys, and their rotation."""

from typing import Any

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions.authorization import ADMINS, requires
from api.extensions.callers import current_caller, transaction
from api.extensions.idempotency import idempotent, remember
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK, next_page
from api.ports import services_of
from api.resources.key.schemas import (
    ID_IN_PATH,
    CreatedKeySchema,
    KeyPageSchema,
    KeySchema,
    NewKeySchema,
    RotationSchema,
    expiry,
)
from api.resources.key.wire import render, render_made
from webhookd import clock, logs
from webhookd.errors import NotFound
from webhookd.flow.access.caller import Role
from webhookd.store import api_keys, key_changes
from webhookd.store.key_changes import NewKey

Answer = dict[str, Any]

NO_STORE = {"Cache-Control": "no-store"}
"""For answers with a key: no cache on the way may keep it."""

_log = logs.get(__name__)

blueprint = StrictBlueprint(
    "key", __name__, url_prefix="/1/Key", description="API keys: who may do what. For admins only."
)


@blueprint.route("")
class Keys(MethodView):
    """All API keys."""

    @requires(ADMINS)
    @blueprint.arguments(KeyPageSchema, location="query")
    @blueprint.response(
        200,
        KeySchema(many=True),
        headers=LINK,
    )
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: Answer) -> tuple[list[Answer], int, dict[str, str]]:
        """List API keys, in the order of their ids. Revoked and expired ones stay in the list."""
        limit, tenant, now = page["limit"], page["tenant"], clock.wall_clock()
        with transaction(services_of(current_app)) as session:
            found = api_keys.page(session, after=page["after"], limit=limit, tenant=tenant)
        headers = {}
        if len(found) == limit:
            following = url_for("key.Keys", after=found[-1].id, limit=limit, tenant=tenant)
            headers = next_page(following)
        return [render(key, now) for key in found], 200, headers

    @requires(ADMINS)
    @blueprint.arguments(NewKeySchema)
    @blueprint.response(
        201,
        CreatedKeySchema,
        headers={"Location": {"description": "The path of the key's document.", "schema": {"type": "string"}}},
    )
    @blueprint.alt_response(409, description="A request with the same `Idempotency-Key` has not ended.")
    @blueprint.alt_response(422, description="A field is wrong.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was made.")
    @idempotent(has_secret=True)
    def post(self, document: Answer) -> tuple[Answer, int, dict[str, str]]:
        """Make an API key. The response has it; nothing shows it again.

        It is not stored, so a repetition with the same `Idempotency-Key` gets the document without `key`: rotate it.
        """
        now = clock.wall_clock()
        wanted = NewKey(
            name=document["name"],
            role=Role(document["role"]),
            tenant=document["tenant"],
            expires_at=expiry(document, now),
        )
        with transaction(services_of(current_app)) as session:
            made = key_changes.create(session, current_caller(), wanted, now)
            remember(session, render(made.key, now), {"Location": _path(made.key.id)})
        _log.info("key_created", key_id=made.key.id, role=made.key.role.value, tenant=made.key.tenant)
        return render_made(made, now), 201, {"Location": _path(made.key.id), **NO_STORE}


@blueprint.route("/<string:key_id>", parameters=[ID_IN_PATH])
class OneKey(MethodView):
    """One API key."""

    @requires(ADMINS)
    @blueprint.response(200, KeySchema)
    @blueprint.alt_response(404, description="There is no such key.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, key_id: str) -> Answer:
        """Show an API key, without its secret part."""
        with transaction(services_of(current_app)) as session:
            found = api_keys.known(session, key_id)
        if found is None:
            raise NotFound("there is no such API key")
        return render(found, clock.wall_clock())

    @requires(ADMINS)
    @blueprint.response(204)
    @blueprint.alt_response(404, description="There is no such key.")
    @blueprint.alt_response(409, description="It is the last admin key that works.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    def delete(self, key_id: str) -> None:
        """Revoke an API key. It stops working at once; its document stays.

        Revoking it again changes nothing. Only `webhookd keys revoke` revokes the last admin key.
        """
        with transaction(services_of(current_app)) as session:
            key_changes.revoke(session, current_caller(), key_id, now=clock.wall_clock())
        _log.info("key_revoked", key_id=key_id)


@blueprint.route("/<string:key_id>/Rotate", parameters=[ID_IN_PATH])
class Rotation(MethodView):
    """The rotation of one API key."""

    @requires(ADMINS)
    @blueprint.arguments(RotationSchema)
    @blueprint.response(
        201,
        CreatedKeySchema,
        headers={"Location": {"description": "The path of the new key's document.", "schema": {"type": "string"}}},
    )
    @blueprint.alt_response(404, description="There is no such key.")
    @blueprint.alt_response(409, description="The key was revoked, has expired, or was rotated already.")
    @blueprint.alt_response(422, description="A field is wrong.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    @idempotent(has_secret=True)
    def post(self, document: Answer, key_id: str) -> tuple[Answer, int, dict[str, str]]:
        """Make a new key in place of this one, which stays valid for `overlap_seconds`.

        The new key has the same name, role and tenant. The response has it; nothing shows it again.
        """
        now = clock.wall_clock()
        with transaction(services_of(current_app)) as session:
            made = key_changes.rotate(
                session,
                current_caller(),
                key_id,
                overlap_s=float(document["overlap_seconds"]),
                expires_at=expiry(document, now),
                now=now,
            )
            remember(session, render(made.key, now), {"Location": _path(made.key.id)})
        _log.info("key_rotated", key_id=key_id, successor=made.key.id)
        return render_made(made, now), 201, {"Location": _path(made.key.id), **NO_STORE}


def _path(key_id: str) -> str:
    return url_for("key.OneKey", key_id=key_id)
