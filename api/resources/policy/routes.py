"""Reads and changes policies, tries them out, and shows which ingest processes follow them."""

import uuid
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, current_app, jsonify, url_for
from flask.views import MethodView

from api.extensions.authorization import ADMINS, requires
from api.extensions.callers import current_caller, transaction
from api.extensions.idempotency import idempotent, remember
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK, next_page
from api.ports import services_of
from api.resources.policy.confirmation import announce, confirmation
from api.resources.policy.dry_run import DryRun
from api.resources.policy.dry_run_schemas import DryRunResultSchema, DryRunSchema
from api.resources.policy.schemas import (
    ID_IN_PATH,
    ConfirmationSchema,
    PolicyPageSchema,
    PolicySchema,
    PolicyVersionSchema,
    VersionPageSchema,
)
from api.resources.policy.wire import Document, parse, render, render_confirmation, render_version
from webhookd import logs
from webhookd.errors import Conflict, InvalidInput
from webhookd.store import policies
from webhookd.store.policies import StoredPolicy

Answer = dict[str, Any]
Headers = dict[str, str]

NOT_CONFIRMED = "It is stored, but not every ingest process has confirmed it; `confirmation` names those missing."

_log = logs.get(__name__)

blueprint = StrictBlueprint(
    "policy",
    __name__,
    url_prefix="/1/Policy",
    description="Decide what tenants see of the records of topics.",
)


@blueprint.route("")
class Policies(MethodView):
    """All policies."""

    @requires(ADMINS)
    @blueprint.arguments(PolicyPageSchema, location="query")
    @blueprint.response(200, PolicySchema(many=True), headers=LINK)
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: Document) -> tuple[list[Answer], int, Headers]:
        """List policies, in the order of their ids."""
        with transaction(services_of(current_app)) as session:
            found = [stored for stored in policies.read_all(session) if _listed(stored, page)]
        shown = found[: page["limit"]]
        asked = {name: page[name] for name in ("tenant", "topic", "limit") if page[name] is not None}
        headers = {}
        if len(found) > len(shown):
            following = url_for("policy.Policies", **asked, after=shown[-1].policy.id)
            headers = next_page(following)
        return [render(stored) for stored in shown], 200, headers

    @requires(ADMINS)
    @blueprint.arguments(PolicySchema)
    @blueprint.response(
        201,
        PolicySchema,
        headers={"Location": {"description": "The policy's path.", "schema": {"type": "string"}}},
    )
    @blueprint.alt_response(202, schema=PolicySchema, description=NOT_CONFIRMED)
    @blueprint.alt_response(
        409,
        description="There are as many policies as `WEBHOOKD_POLICY_LIMIT` allows, or a request with the same "
        "`Idempotency-Key` has not ended.",
    )
    @blueprint.alt_response(422, description="A field is wrong.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was created.")
    @idempotent()
    def post(self, document: Document) -> tuple[Answer, int, Headers]:
        """Create a policy.

        From the first policy of a topic on, everything that no policy allows is denied, to every tenant. With 201
        nothing that was rendered before can be sent any more; the answer waits up to 2 s for that, and is 202
        otherwise.
        """
        if document["id"] is not None or document["version"] is not None:
            raise InvalidInput("is given by webhookd: leave it out", field="id" if document["id"] else "version")
        services, policy = services_of(current_app), parse(document, str(uuid.uuid4()))
        with transaction(services) as session:
            change = policies.create(session, policy, current_caller(), limit=services.settings.policy_limit)
            stored = policies.find(session, policy.id)
            location = url_for("policy.OnePolicy", policy_id=policy.id)
            # A process that is killed here leaves it open whether the version is confirmed.
            remember(session, render(stored), {"Location": location}, HTTPStatus.ACCEPTED)
        _log.info("policy_created", policy=policy.id, version=change.version, subscriptions=change.subscriptions)
        confirmed = announce(services, change.version)
        return render(stored, confirmed), 201 if confirmed.confirmed else 202, {"Location": location}


@blueprint.route("/<uuid:policy_id>", parameters=[ID_IN_PATH])
class OnePolicy(MethodView):
    """One policy."""

    @requires(ADMINS)
    @blueprint.response(200, PolicySchema)
    @blueprint.alt_response(404, description="There is no such policy.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, policy_id: UUID) -> Answer:
        """Show a policy."""
        with transaction(services_of(current_app)) as session:
            return render(policies.find(session, str(policy_id)))

    @requires(ADMINS)
    @blueprint.arguments(PolicySchema)
    @blueprint.response(200, PolicySchema)
    @blueprint.alt_response(202, schema=PolicySchema, description=NOT_CONFIRMED)
    @blueprint.alt_response(404, description="There is no such policy.")
    @blueprint.alt_response(409, description="`version` is not the current one; read it again.")
    @blueprint.alt_response(422, description="A field is wrong.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    def put(self, document: Document, policy_id: UUID) -> tuple[Answer, int]:
        """Replace a policy as a whole.

        With 200 nothing that was rendered under the policy before can be sent any more; the answer waits up to 2 s for
        that, and is 202 otherwise.
        """
        services, id_ = services_of(current_app), str(policy_id)
        if document["id"] is not None and str(document["id"]) != id_:
            raise InvalidInput("is not the id in the path", field="id")
        policy = parse(document, id_)
        with transaction(services) as session:
            change = policies.replace(session, policy, current_caller())
            stored = policies.find(session, id_)
            if document["version"] not in {None, stored.policy.version - 1}:
                raise Conflict("the policy was changed by someone else: read it again")  # nothing is committed
        _log.info("policy_changed", policy=id_, version=change.version, subscriptions=change.subscriptions)
        confirmed = announce(services, change.version)
        return render(stored, confirmed), 200 if confirmed.confirmed else 202

    @requires(ADMINS)
    @blueprint.response(204)
    @blueprint.alt_response(202, schema=ConfirmationSchema, description="As for PUT, with the confirmation alone.")
    @blueprint.alt_response(404, description="There is no such policy.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was deleted.")
    def delete(self, policy_id: UUID) -> Response | None:
        """Delete a policy; its versions stay."""
        services, id_ = services_of(current_app), str(policy_id)
        with transaction(services) as session:
            change = policies.delete(session, id_, current_caller())
        _log.info("policy_deleted", policy=id_, version=change.version, subscriptions=change.subscriptions)
        confirmed = announce(services, change.version)
        if confirmed.confirmed:
            return None
        answer = jsonify(render_confirmation(confirmed))
        answer.status_code = 202
        return answer


@blueprint.route("/<uuid:policy_id>/Version", parameters=[ID_IN_PATH])
class Versions(MethodView):
    """The versions of one policy."""

    @requires(ADMINS)
    @blueprint.arguments(VersionPageSchema, location="query")
    @blueprint.response(200, PolicyVersionSchema(many=True), headers=LINK)
    @blueprint.alt_response(404, description="There never was such a policy.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: Document, policy_id: UUID) -> tuple[list[Answer], int, Headers]:
        """List what a policy was, also a deleted one; the newest version first."""
        id_, limit = str(policy_id), page["limit"]
        with transaction(services_of(current_app)) as session:
            found = policies.history(session, id_, before=page["before"], limit=limit + 1)
        shown, headers = found[:limit], {}
        if len(found) > limit:
            following = url_for("policy.Versions", policy_id=id_, before=shown[-1].version, limit=limit)
            headers = next_page(following)
        return [render_version(version) for version in shown], 200, headers


@blueprint.route("/Confirmation")
class Confirmations(MethodView):
    """Which ingest processes follow the policies."""

    @requires(ADMINS)
    @blueprint.response(200, ConfirmationSchema)
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self) -> Answer:
        """Show which ingest processes have not confirmed the current version of the policies."""
        services = services_of(current_app)
        with transaction(services) as session:
            version = policies.version(session)
        return render_confirmation(confirmation(services, version))


@blueprint.route("/DryRun")
class DryRuns(MethodView):
    """Policies, tried out on records."""

    @requires(ADMINS)
    @blueprint.arguments(DryRunSchema)
    @blueprint.response(200, DryRunResultSchema)
    @blueprint.alt_response(422, description="A field is wrong, or the topic cannot be read.")
    @blueprint.alt_response(503, description="Kafka or the database cannot be reached.")
    def post(self, document: Document) -> Answer:
        """Show what a tenant would see of records; nothing is stored or sent.

        The records are those of the request, or the last ones of the topic.
        """
        return DryRun(services_of(current_app), document).result()


def _listed(stored: StoredPolicy, page: Document) -> bool:
    policy = stored.policy
    return (
        (page["after"] is None or policy.id > str(page["after"]))
        and (page["tenant"] is None or policy.tenant in {None, page["tenant"]})
        and (page["topic"] is None or policy.matches_topic(page["topic"]))
    )
