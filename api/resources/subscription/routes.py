"""POST, GET, PUT, PATCH and DELETE of subscriptions."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, current_app, request, url_for
from flask.views import MethodView
from sqlalchemy.orm import Session

from api.extensions.authorization import READERS, WRITERS, requires
from api.extensions.callers import transaction
from api.extensions.idempotency import idempotent, remember
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK, next_page
from api.ports import services_of
from api.resources.subscription import lifecycle
from api.resources.subscription.checks import RegistrationChecks
from api.resources.subscription.list_parameters import ListSchema, next_parameters, page_request
from api.resources.subscription.listing import listed
from api.resources.subscription.merge_patch import MEDIA_TYPE, Patch, SubscriptionPatchSchema
from api.resources.subscription.preconditions import (
    ETAG_HEADER,
    IF_MATCH,
    IF_NONE_MATCH,
    Preconditions,
    etag_header,
    not_modified,
    preconditions_of,
)
from api.resources.subscription.schemas import ID_IN_PATH, SubscriptionSchema
from api.resources.subscription.wire import Document, render
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, subscription_lists, subscriptions

Answer = dict[str, Any]

CHECKS = "webhookd-registration-checks"
"""The key of the checks in a Flask application's `extensions`."""

CHANGED_OR_TAKEN = (
    "Another request changed it at the same moment: read it again. Or another subscription has the `external_id`."
)
UNREACHABLE = "Kafka or the database cannot be reached, or there is no key to encrypt a new secret with."
NO_IF_MATCH = "`If-Match` is missing, and `WEBHOOKD_API_REQUIRE_IF_MATCH` demands it."

blueprint = StrictBlueprint(
    "subscription",
    __name__,
    url_prefix="/1/Subscription",
    description="Register, show, change and delete subscriptions.",
)


@blueprint.route("")
class Subscriptions(MethodView):
    """All subscriptions."""

    @requires(READERS)
    @blueprint.arguments(ListSchema, location="query")
    @blueprint.response(
        200,
        SubscriptionSchema(many=True),
        headers=LINK,
    )
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, parameters: Document) -> tuple[list[Answer], int, dict[str, str]]:
        """List subscriptions with their health and lag, in the order of their ids or another one."""
        wanted = page_request(parameters)
        with transaction(services_of(current_app)) as session:
            switch = administration.read(session)
            page = subscription_lists.page(session, wanted, switch)
        return [listed(row, switch) for row in page.rows], 200, _link(parameters, page)

    @requires(WRITERS)
    @blueprint.arguments(SubscriptionSchema)
    @blueprint.response(
        201,
        SubscriptionSchema,
        headers={"Location": {"description": "The subscription's path.", "schema": {"type": "string"}}, **ETAG_HEADER},
    )
    @blueprint.alt_response(
        409,
        description="Another subscription has the `external_id`, or a request with the same `Idempotency-Key` has not "
        "ended.",
    )
    @blueprint.alt_response(403, description="No policy allows the tenant to read a topic.")
    @blueprint.alt_response(422, description="A field is wrong, or Kafka does not authorise webhookd to read a topic.")
    @blueprint.alt_response(503, description=f"{UNREACHABLE} Nothing was created.")
    @idempotent()
    def post(self, document: Document) -> tuple[Answer, int, dict[str, str]]:
        """Register a subscription.

        `warnings` lists what was probably not meant; the checks for it take 2 s at most and refuse nothing.

        With `start: latest` reading begins at the end offsets that the brokers returned before this response: no record
        that is produced after the response is missed.
        """
        created = lifecycle.register(services_of(current_app), document, _remember)
        return _with_warnings(created), 201, _headers(created)


@blueprint.route("/<uuid:subscription_id>", parameters=[ID_IN_PATH])
class OneSubscription(MethodView):
    """One subscription."""

    @requires(READERS)
    @blueprint.doc(parameters=[IF_NONE_MATCH])
    @blueprint.response(200, SubscriptionSchema, headers=ETAG_HEADER)
    @blueprint.alt_response(304, description="`If-None-Match` names its version.", success=True)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(409, description="Its stored configuration cannot be used; a PUT replaces it.")
    @blueprint.alt_response(412, description="`If-Match` does not name its version.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, subscription_id: UUID) -> tuple[Answer, int, dict[str, str]] | Response:
        """Show a subscription; header values and the signing secret are masked."""
        with transaction(services_of(current_app)) as session:
            found = subscriptions.find(session, str(subscription_id))
        if not_modified(request, found):
            return Response(status=304, headers=etag_header(found))
        return render(found), 200, etag_header(found)

    @requires(WRITERS)
    @blueprint.doc(parameters=[IF_MATCH])
    @blueprint.arguments(SubscriptionSchema)
    @blueprint.response(200, SubscriptionSchema, headers=ETAG_HEADER)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(403, description="No policy allows the tenant to read a topic.")
    @blueprint.alt_response(409, description=CHANGED_OR_TAKEN)
    @blueprint.alt_response(412, description="`If-Match` does not name its version; nothing was changed.")
    @blueprint.alt_response(422, description="A field is wrong, or Kafka does not authorise webhookd to read a topic.")
    @blueprint.alt_response(428, description=NO_IF_MATCH)
    @blueprint.alt_response(503, description=f"{UNREACHABLE} Nothing was changed.")
    def put(self, document: Document, subscription_id: UUID) -> tuple[Answer, int, dict[str, str]]:
        """Replace a subscription as a whole.

        A document that changes nothing leaves the `ETag` as it is, also when it has the secrets written out.
        A topic that no policy allows any more may stay if the subscription is inactive from now on.
        Reading of topics that it had before continues at their committed offsets. `warnings` lists what was probably
        not meant.
        """
        changed = lifecycle.change(services_of(current_app), str(subscription_id), document, request_preconditions())
        return _with_warnings(changed), 200, etag_header(changed)

    @requires(WRITERS)
    @blueprint.doc(parameters=[IF_MATCH])
    @blueprint.arguments(SubscriptionPatchSchema, content_type=MEDIA_TYPE)
    @blueprint.response(200, SubscriptionSchema, headers=ETAG_HEADER)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(403, description="No policy allows the tenant to read a topic.")
    @blueprint.alt_response(409, description=f"{CHANGED_OR_TAKEN} Or its stored configuration cannot be used.")
    @blueprint.alt_response(412, description="`If-Match` does not name its version; nothing was changed.")
    @blueprint.alt_response(422, description="A field is wrong, or Kafka does not authorise webhookd to read a topic.")
    @blueprint.alt_response(428, description=NO_IF_MATCH)
    @blueprint.alt_response(503, description=f"{UNREACHABLE} Nothing was changed.")
    def patch(self, changes: Patch, subscription_id: UUID) -> tuple[Answer, int, dict[str, str]]:
        """Change some fields of a subscription.

        The body is a JSON merge patch (RFC 7396) of the document that GET shows: fields that it does not have stay,
        masked values too; a list is replaced as a whole; `null` gives a field its default. What results has to
        be a document that PUT accepts. Kafka and DNS are asked only when `source`, `destination` or the dead letter
        topic changes. `application/json` is accepted too.
        """
        changed = lifecycle.patch(services_of(current_app), str(subscription_id), changes, request_preconditions())
        looks_up = not {"source", "destination"}.isdisjoint(changes)
        return _with_warnings(changed, looks_up=looks_up), 200, etag_header(changed)

    @requires(WRITERS)
    @blueprint.doc(parameters=[IF_MATCH])
    @blueprint.response(204)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(412, description="`If-Match` does not name its version; nothing was deleted.")
    @blueprint.alt_response(428, description=NO_IF_MATCH)
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was deleted.")
    def delete(self, subscription_id: UUID) -> None:
        """Delete a subscription and its activity.

        Its dead letters stay for `WEBHOOKD_DEAD_LETTER_RETENTION_S`. Ingest deletes its consumer group from Kafka.
        """
        lifecycle.remove(services_of(current_app), str(subscription_id), request_preconditions())


def _remember(session: Session, created: Subscription) -> None:
    remember(session, {**render(created), "warnings": []}, _headers(created))


def _headers(created: Subscription) -> dict[str, str]:
    location = url_for("subscription.OneSubscription", subscription_id=created.id)
    return {"Location": location, **etag_header(created)}


@blueprint.after_request
def _name_patch_format(response: Response) -> Response:
    """Name the media type of a PATCH when another one was sent (RFC 5789, section 2.2)."""
    if request.method == "PATCH" and response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        response.headers["Accept-Patch"] = MEDIA_TYPE
    return response


def request_preconditions() -> Preconditions:
    """The preconditions of the current request; raises PreconditionRequired."""
    return preconditions_of(request, required=services_of(current_app).settings.api_require_if_match)


def _with_warnings(subscription: Subscription, *, looks_up: bool = True) -> Answer:
    checks: RegistrationChecks = current_app.extensions[CHECKS]
    found = checks.warnings(subscription) if looks_up else checks.configuration_warnings(subscription)
    return render(subscription) | {"warnings": [asdict(warning) for warning in found]}


def _link(parameters: Document, page: subscription_lists.Page) -> dict[str, str]:
    if not page.more or not page.rows:
        return {}
    following = url_for("subscription.Subscriptions", **next_parameters(parameters, page.rows[-1].place))
    return next_page(following)
