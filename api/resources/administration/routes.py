"""GET and POST of the switch that takes webhookd offline."""

from typing import Any

from flask import current_app
from flask.views import MethodView

from api.extensions.authorization import ADMINS, requires
from api.extensions.openapi import StrictBlueprint
from api.ports import Services, services_of
from api.resources.administration.overview import overview
from api.resources.administration.schemas import AdministrationSchema, SwitchSchema
from webhookd import clock, logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import AdministrationChanged
from webhookd.store import administration

_log = logs.get(__name__)

blueprint = StrictBlueprint(
    "administration",
    __name__,
    url_prefix="/1/EventNotificationAdmin",
    description="Stop all subscriptions at once, and start them again.",
)


@blueprint.route("")
class Administration(MethodView):
    """The switch, and every subscription."""

    @requires(ADMINS)
    @blueprint.response(200, AdministrationSchema)
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self) -> dict[str, Any]:
        """Show whether webhookd is online, and the status of every subscription."""
        with services_of(current_app).database.transaction() as session:
            return overview(session, clock.wall_clock())

    @requires(ADMINS)
    @blueprint.arguments(SwitchSchema)
    @blueprint.response(200, AdministrationSchema)
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    def post(self, document: dict[str, str]) -> dict[str, Any]:
        """Take webhookd offline or online.

        `offline` stops every subscription within 5 s; the positions in Kafka stay. `online` continues from these
        positions. A request for the current state changes only the message.
        """
        services = services_of(current_app)
        status = Availability(document["status"])
        with services.database.transaction() as session:
            administration.switch(session, status, document["offline_message"])
            answer = overview(session, clock.wall_clock())
        _log.warning("switched", status=status.value, offline_message=document["offline_message"])
        _notify(services, status)
        return answer


def _notify(services: Services, status: Availability) -> None:
    """Notify every process. A lost notification delays the change by about a second: processes also read the row."""
    try:
        services.notifications.publish(AdministrationChanged(status=status))
    except QueueUnavailable as error:
        _log.warning("change_notification_failed", code=error.code, error=str(error))
