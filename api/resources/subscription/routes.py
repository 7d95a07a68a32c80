"""POST, GET, PUT and DELETE of subscriptions."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions.authorization import READERS, WRITERS, requires
from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.subscription import lifecycle
from api.resources.subscription.checks import RegistrationChecks
from api.resources.subscription.schemas import ID_IN_PATH, PageSchema, SubscriptionSchema
from api.resources.subscription.wire import Document, render
from webhookd.errors import UnusableSubscription
from webhookd.flow.subscription import Subscription
from webhookd.store import subscriptions

Answer = dict[str, Any]

CHECKS = "webhookd-registration-checks"
"""The key of the checks in a Flask application's `extensions`."""

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
    @blueprint.arguments(PageSchema, location="query")
    @blueprint.response(
        200,
        SubscriptionSchema(many=True),
        headers={
            "Link": {
                "description": 'The next page, as `<…>; rel="next"`, when there is one.',
                "schema": {"type": "string"},
            }
        },
    )
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: Document) -> tuple[list[Answer], int, dict[str, str]]:
        """List subscriptions, in the order of their ids."""
        limit, after = page["limit"], str(page["after"] or "")
        with services_of(current_app).database.transaction() as session:
            found = subscriptions.page(session, after=after, limit=limit)
        return [_listed(id_, loaded) for id_, loaded in found], 200, _next_page(found, limit)

    @requires(WRITERS)
    @blueprint.arguments(SubscriptionSchema)
    @blueprint.response(
        201,
        SubscriptionSchema,
        headers={"Location": {"description": "The subscription's path.", "schema": {"type": "string"}}},
    )
    @blueprint.alt_response(422, description="A field is wrong, or Kafka does not authorise webhookd to read a topic.")
    @blueprint.alt_response(503, description="Kafka or the database cannot be reached; nothing was created.")
    def post(self, document: Document) -> tuple[Answer, int, dict[str, str]]:
        """Register a subscription.

        `warnings` lists what was probably not meant; the checks for it take 2 s at most and refuse nothing.

        With `start: latest` reading begins at the end offsets that the brokers returned before this response: no record
        that is produced after the response is missed.
        """
        created = lifecycle.register(services_of(current_app), document)
        location = url_for("subscription.OneSubscription", subscription_id=created.id)
        return _with_warnings(created), 201, {"Location": location}


@blueprint.route("/<uuid:subscription_id>", parameters=[ID_IN_PATH])
class OneSubscription(MethodView):
    """One subscription."""

    @requires(READERS)
    @blueprint.response(200, SubscriptionSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(409, description="Its stored configuration cannot be used; a PUT replaces it.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, subscription_id: UUID) -> Answer:
        """Show a subscription; header values are masked."""
        with services_of(current_app).database.transaction() as session:
            return render(subscriptions.find(session, str(subscription_id)))

    @requires(WRITERS)
    @blueprint.arguments(SubscriptionSchema)
    @blueprint.response(200, SubscriptionSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(409, description="Another request changed it at the same moment; read it again.")
    @blueprint.alt_response(422, description="A field is wrong, or Kafka does not authorise webhookd to read a topic.")
    @blueprint.alt_response(503, description="Kafka or the database cannot be reached; nothing was changed.")
    def put(self, document: Document, subscription_id: UUID) -> Answer:
        """Replace a subscription as a whole.

        Reading of topics that it had before continues at their committed offsets. `warnings` lists what was probably
        not meant.
        """
        return _with_warnings(lifecycle.change(services_of(current_app), str(subscription_id), document))

    @requires(WRITERS)
    @blueprint.response(204)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was deleted.")
    def delete(self, subscription_id: UUID) -> None:
        """Delete a subscription and its activity.

        Its dead letters stay for `WEBHOOKD_DEAD_LETTER_RETENTION_S`. Ingest deletes its consumer group from Kafka.
        """
        lifecycle.remove(services_of(current_app), str(subscription_id))


def _with_warnings(subscription: Subscription) -> Answer:
    checks: RegistrationChecks = current_app.extensions[CHECKS]
    return render(subscription) | {"warnings": [asdict(warning) for warning in checks.warnings(subscription)]}


def _listed(id_: str, loaded: subscriptions.Loaded) -> Answer:
    if isinstance(loaded, UnusableSubscription):
        return {"id": id_, "kind": "Webhook", "unusable": str(loaded)}
    return render(loaded)


def _next_page(found: list[tuple[str, subscriptions.Loaded]], limit: int) -> dict[str, str]:
    if len(found) < limit:
        return {}
    following = url_for("subscription.Subscriptions", after=found[-1][0], limit=limit)
    return {"Link": f'<{following}>; rel="next"'}
