"""GET of /health and /ready."""

from concurrent.futures import Future
from typing import Any

from flask import current_app, request
from flask.views import MethodView

from api.extensions.authentication import authenticator_of
from api.extensions.authorization import EVERYBODY, requires
from api.extensions.openapi import StrictBlueprint
from api.resources.health.health_report import HealthReport
from api.resources.health.readiness import Readiness
from api.resources.health.schemas import HealthSchema, ReadySchema
from webhookd import clock
from webhookd.errors import Unauthenticated, Unavailable
from webhookd.flow.access.caller import Caller, Role

READINESS = "webhookd-readiness"
REPORT = "webhookd-health"

ANSWER_S = 0.9
"""The time in which the caller must be known: a database that is down has used up most of the second already."""

OPEN_API = "WEBHOOKD_API_AUTH is none: whoever reaches the API is an admin"

blueprint = StrictBlueprint("health", __name__, description="For orchestrators, load balancers and monitoring.")


@blueprint.route("/health")
class Health(MethodView):
    """Whether the process is alive, and the state of the system."""

    @requires(EVERYBODY)
    @blueprint.response(200, HealthSchema)
    def get(self) -> dict[str, Any]:
        """Show the state of the system.

        The response arrives within a second, with status 200 as long as the process is alive: faults are in the body.
        Without the key of an admin it has only `status`, which is then `ok` or `degraded`.
        """
        report: HealthReport = current_app.extensions[REPORT]
        authenticator, asked_at = authenticator_of(current_app), clock.monotonic()
        asked = authenticator.begin(request.headers.get("Authorization"), request.remote_addr or "")
        found = report.read()
        if not _is_admin(asked, asked_at + ANSWER_S - clock.monotonic()):
            return {"status": "ok" if found["status"] == "ok" else "degraded"}
        return {**found, "warnings": [] if authenticator.checked else [OPEN_API]}


def _is_admin(asked: Future[Caller], timeout_s: float) -> bool:
    try:
        return asked.result(max(0.0, timeout_s)).role is Role.ADMIN
    except (Unauthenticated, Unavailable, TimeoutError):
        return False


@blueprint.route("/ready")
class Ready(MethodView):
    """Whether the process can work."""

    @requires(EVERYBODY)
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
