"""GET of /health and /ready."""

from typing import Any

from flask import current_app
from flask.views import MethodView

from api.extensions.openapi import StrictBlueprint
from api.resources.health.health_report import HealthReport
from api.resources.health.readiness import Readiness
from api.resources.health.schemas import HealthSchema, ReadySchema

READINESS = "webhookd-readiness"
REPORT = "webhookd-health"

blueprint = StrictBlueprint("health", __name__, description="For orchestrators, load balancers and monitoring.")


@blueprint.route("/health")
class Health(MethodView):
    """Whether the process is alive, and the state of the system."""

    @blueprint.response(200, HealthSchema)
    def get(self) -> dict[str, Any]:
        """Show the state of the system.

        The response arrives within a second, with status 200 as long as the process is alive: faults are in the body.
        """
        report: HealthReport = current_app.extensions[REPORT]
        return report.read()


@blueprint.route("/ready")
class Ready(MethodView):
    """Whether the process can work."""

    @blueprint.response(200, ReadySchema)
    @blueprint.alt_response(503, schema=ReadySchema, description="At least one of them does not respond.")
    def get(self) -> tuple[dict[str, Any], int]:
        """Check database, queue and Kafka, within a few seconds."""
        readiness: Readiness = current_app.extensions[READINESS]
        answers = readiness.ask()
        details = {name: detail for name, detail in answers.items() if detail is not None}
        checks = {name: "failed" if name in details else "ok" for name in answers}
        status, code = ("failed", 503) if details else ("ok", 200)
        return {"status": status, "checks": checks, "details": details}, code
