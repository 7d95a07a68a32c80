"""POST of a question to an endpoint."""

from typing import Any
from uuid import UUID

from flask import current_app
from flask.views import MethodView

from api.extensions.authorization import WRITERS, requires
from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.subscription.schemas import ID_IN_PATH
from api.resources.verification.asking import ask
from api.resources.verification.schemas import VerificationRequestedSchema

blueprint = StrictBlueprint(
    "verification",
    __name__,
    url_prefix="/1/Subscription/<uuid:subscription_id>/Verification",
    description="Whether the endpoint of a subscription wants its requests.",
)


@blueprint.route("", parameters=[ID_IN_PATH])
class VerificationOfOne(MethodView):
    """The verification of one endpoint."""

    @requires(WRITERS)
    @blueprint.response(202, VerificationRequestedSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(
        409,
        description="There is nothing to ask: `verification.kind` is `none`, the endpoint has consented, or the "
        "subscription is inactive. Or its stored configuration cannot be used.",
    )
    @blueprint.alt_response(
        429,
        description="The subscription was changed, or a question requested, less than 5 s ago; or too many requests "
        "were made with this key, or from this address.",
    )
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def post(self, subscription_id: UUID) -> dict[str, Any]:
        """Ask the endpoint now whether it wants the requests, instead of when the next question is due.

        The answer to this request does not wait for the endpoint: read the status of the subscription after some
        seconds. Its `delivery.state` is `unverified` until the endpoint consents.
        """
        found = ask(services_of(current_app), str(subscription_id))
        return {
            "id": found.id,
            "kind": "WebhookVerification",
            "payload_url": found.destination.url,
            "verification": found.destination.verification.value,
        }
