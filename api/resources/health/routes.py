"""GET of /health and /ready."""

from typing import Any

from flask import current_app
from flask.views import MethodView

from api.extensions.openapi import StrictBlueprint
from api.resources.health.readiness import Readiness
from api.resources.health.schemas import HealthSchema, ReadySchema

EXTENSION = "webhookd-readiness"

blueprint = StrictBlueprint("health", __name__, description="For orchestrators and load balancers")


@blueprint.route("/health")
class Health(MethodView):
    """Whether the process is alive."""

    @blueprint.response(200, HealthSchema)
    def get(self) -> dict[str, str]:
        """Answer; asks nobody else, so it cannot fail while the process lives."""
        return {"status": "ok"}


@blueprint.route("/ready")
class Ready(MethodView):
    """Whether the process can work."""

    @blueprint.response(200, ReadySchema)
    @blueprint.alt_response(503, schema=ReadySchema, description="at least one system does not answer")
    def get(self) -> tuple[dict[str, Any], int]:
        """Ask database, queue and Kafka, within a few seconds."""
        readiness: Readiness = current_app.extensions[EXTENSION]
        answers = readiness.ask()
        well = all(answers.values())
        checks = {name: "ok" if answered else "failed" for name, answered in answers.items()}
        return {"status": "ok" if well else "failed", "checks": checks}, 200 if well else 503
