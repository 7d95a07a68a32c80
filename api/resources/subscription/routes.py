"""POST, GET, PUT and DELETE of subscriptions."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions.authorization import READERS, WRITERS, requires
from api.extensions.callers import transaction
from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.subscription import lifecycle
from api.resources.subscription.checks import RegistrationChecks
from api.resources.subscription.list_parameters import ListSchema, next_page, page_request
from api.resources.subscription.listing import listed
from api.resources.subscription.schemas import ID_IN_PATH, SubscriptionSchema
from api.resources.subscription.wire import Document, render
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, subscription_lists, subscriptions

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
    @blueprint.arguments(ListSchema, location="query")
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
        with transaction(services_of(current_app)) as session:
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


def _link(parameters: Document, page: subscription_lists.Page) -> dict[str, str]:
    if not page.more or not page.rows:
        return {}
    following = url_for("subscription.Subscriptions", **next_page(parameters, page.rows[-1].place))
    return {"Link": f'<{following}>; rel="next"'}
