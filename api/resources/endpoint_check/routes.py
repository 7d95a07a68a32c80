"""POST of the check of an endpoint."""

from typing import Any

from flask import current_app
from flask.views import MethodView

from api.extensions.authorization import WRITERS, requires
from api.extensions.callers import current_caller
from api.extensions.openapi import StrictBlueprint
from api.resources.endpoint_check.check import EndpointCheck
from api.resources.endpoint_check.schemas import EndpointCheckResultSchema, EndpointCheckSchema

CHECK = "webhookd-endpoint-check"
"""The key of the EndpointCheck in a Flask application's `extensions`."""

blueprint = StrictBlueprint(
    "endpoint_check",
    __name__,
    url_prefix="/1/Subscription/EndpointCheck",
    description="Ask whether requests may go to a URL, before it is registered.",
)


@blueprint.route("")
class EndpointChecks(MethodView):
    """The check of a URL."""

    @requires(WRITERS)
    @blueprint.arguments(EndpointCheckSchema)
    @blueprint.response(200, EndpointCheckResultSchema)
    @blueprint.alt_response(422, description="The URL cannot be used by any installation.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def post(self, document: dict[str, str]) -> dict[str, Any]:
        """Say whether requests may go to a URL: by its scheme, host and port, and by the addresses of its host now.

        Nothing is sent and nothing is stored; the host may be looked up, within 2 s. Every request is judged again when
        it is sent.
        """
        check: EndpointCheck = current_app.extensions[CHECK]
        return check.result(document["url"], current_caller())
