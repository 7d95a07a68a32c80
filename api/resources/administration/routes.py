"""GET and POST of the switch that takes webhookd offline."""

from typing import Any

from flask import current_app
from flask.views import MethodView

from api.extensions.authorization import ADMINS, requires
from api.extensions.callers import current_caller, transaction
from api.extensions.openapi import StrictBlueprint
from api.extensions.pages import LINK
from api.ports import Services, services_of
from api.resources.administration.overview import ID, overview
from api.resources.administration.schemas import AdministrationSchema, OverviewSchema, SwitchSchema
from webhookd import clock, logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.administration import Administration as Switch
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import AdministrationChanged
from webhookd.store import administration, audit_log
from webhookd.store.audit_log import Change

Answer = tuple[dict[str, Any], int, dict[str, str]]

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
    @blueprint.arguments(OverviewSchema, location="query")
    @blueprint.response(200, AdministrationSchema, headers=LINK)
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, page: dict[str, Any]) -> Answer:
        """Show whether webhookd is online, and the status of every subscription, in pages."""
        with transaction(services_of(current_app)) as session:
            body, headers = overview(session, clock.wall_clock(), page)
        return body, 200, headers

    @requires(ADMINS)
    @blueprint.arguments(SwitchSchema)
    @blueprint.response(200, AdministrationSchema, headers=LINK)
    @blueprint.alt_response(503, description="The database cannot be reached; nothing was changed.")
    def post(self, document: dict[str, str]) -> Answer:
        """Take webhookd offline or online.

        `offline` stops every subscription within 5 s; the positions in Kafka stay. `online` continues from these
        positions. A request for the current state changes only the message. The response has the first page of the
        subscriptions.
        """
        services = services_of(current_app)
        status = Availability(document["status"])
        with transaction(services) as session:
            before = administration.switch(session, status, document["offline_message"])
            audit_log.record(session, current_caller(), _change(before, document))
            body, headers = overview(session, clock.wall_clock(), OverviewSchema().load({}))
        _log.warning("switched", status=status.value, offline_message=document["offline_message"])
        _notify(services, status)
        return body, 200, headers


def _change(before: Switch, document: dict[str, str]) -> Change:
    return Change(
        action="change",
        subject_kind="EventNotificationAdmin",
        subject_id=ID,
        before={"status": before.status.value, "offline_message": before.offline_message},
        after={"status": document["status"], "offline_message": document["offline_message"]},
    )


def _notify(services: Services, status: Availability) -> None:
    """Notify every process. A lost notification delays the change by about a second: processes also read the row."""
    try:
        services.notifications.publish(AdministrationChanged(status=status))
    except QueueUnavailable as error:
        _log.warning("change_notification_failed", code=error.code, error=str(error))
