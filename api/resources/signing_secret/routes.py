"""GET of the secret that signs a subscription's requests, and its rotation."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import current_app
from flask.views import MethodView
from sqlalchemy.orm import Session

from api.extensions.authorization import WRITERS, requires
from api.extensions.idempotency import idempotent, remember
from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.signing_secret import rotation
from api.resources.subscription.preconditions import IF_MATCH
from api.resources.subscription.routes import NO_IF_MATCH, request_preconditions
from api.resources.subscription.schemas import ID_IN_PATH
from api.resources.subscription.signing_schemas import SigningRotationSchema, SigningSecretSchema
from api.resources.subscription.signing_wire import Signing, render_secret
from api.resources.subscription.wire import Document
from webhookd import clock

blueprint = StrictBlueprint(
    "signing_secret",
    __name__,
    url_prefix="/1/Subscription/<uuid:subscription_id>/SigningSecret",
    description="The secret that signs the requests of a subscription.",
)


@blueprint.route("", parameters=[ID_IN_PATH])
class SigningSecretOfOne(MethodView):
    """The signing secret of one subscription."""

    @requires(WRITERS)
    @blueprint.response(200, SigningSecretSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(409, description="Its stored configuration cannot be used; a PUT replaces it.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, subscription_id: UUID) -> dict[str, Any]:
        """Show the secret that signs the requests. The audit log has an entry for each time.

        A receiver verifies with it, or with `public_key`. Nothing else shows it.
        """
        signing = rotation.show(services_of(current_app), str(subscription_id))
        return render_secret(signing, clock.wall_clock(), shown=True)


@blueprint.route("/Rotate", parameters=[ID_IN_PATH])
class Rotation(MethodView):
    """The rotation of one signing secret."""

    @requires(WRITERS)
    @blueprint.doc(parameters=[IF_MATCH])
    @blueprint.arguments(SigningRotationSchema)
    @blueprint.response(200, SigningSecretSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(
        409,
        description="Requests are not signed, the secret signs already, or as many secrets sign as may. Or its stored "
        "configuration cannot be used, or a request with the same `Idempotency-Key` has not ended.",
    )
    @blueprint.alt_response(
        412, description="`If-Match` does not name the subscription's version; nothing was changed."
    )
    @blueprint.alt_response(422, description="A field is wrong.")
    @blueprint.alt_response(428, description=NO_IF_MATCH)
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    @idempotent(has_secret=True)
    def post(self, document: Document, subscription_id: UUID) -> dict[str, Any]:
        """Replace the secret. The current one goes on to sign for `overlap_seconds`, beside the new one.

        Until then requests have the signatures of both, so receivers can change at any time in between. It ends by
        itself. A repetition with the same `Idempotency-Key` gets the document without `secret`.
        """
        services, id_ = services_of(current_app), str(subscription_id)
        signing = rotation.rotate(services, id_, document, request_preconditions(), _remember)
        return render_secret(signing, clock.wall_clock(), shown=True)


def _remember(session: Session, signing: Signing) -> None:
    remember(session, render_secret(signing, clock.wall_clock(), shown=False), {}, HTTPStatus.OK)
