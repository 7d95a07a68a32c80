"""GET of a subscription's status."""

from typing import Any
from uuid import UUID

from flask import current_app
from flask.views import MethodView

from api.extensions.authorization import READERS, requires
from api.extensions.callers import transaction
from api.extensions.openapi import StrictBlueprint
from api.ports import services_of
from api.resources.status.rendering import StatusRows, render_status
from api.resources.status.schemas import StatusSchema
from api.resources.subscription.schemas import ID_IN_PATH
from webhookd import clock
from webhookd.flow.subscription import Subscription
from webhookd.store import (
    activity,
    administration,
    dead_letters,
    mail_failures,
    subscription_statuses,
    subscriptions,
)

blueprint = StrictBlueprint(
    "status",
    __name__,
    url_prefix="/1/Subscription/<uuid:subscription_id>/Status",
    description="The state of a subscription's deliveries.",
)


@blueprint.route("", parameters=[ID_IN_PATH])
class Status(MethodView):
    """The status of one subscription."""

    @requires(READERS)
    @blueprint.response(200, StatusSchema)
    @blueprint.alt_response(404, description="There is no such subscription.")
    @blueprint.alt_response(503, description="The database cannot be reached.")
    def get(self, subscription_id: UUID) -> dict[str, Any]:
        """Show status, problems, lag, topics, counters and recent activity.

        A subscription whose stored configuration cannot be used has a status too.
        """
        id_ = str(subscription_id)
        with transaction(services_of(current_app)) as session:
            loaded = subscriptions.load(session, [id_]).get(id_)
            emails = loaded.alerting.emails if isinstance(loaded, Subscription) else ()
            rows = StatusRows(
                summary=subscriptions.summary(session, id_),
                usable=isinstance(loaded, Subscription),
                status=subscription_statuses.read(session, id_),
                administration=administration.read(session),
                activities=activity.recent(session, id_),
                dead_letters=dead_letters.count(session, id_),
                mail_failures=mail_failures.read(session, id_, emails),
                tls_verify=not isinstance(loaded, Subscription) or loaded.destination.tls.verify,
            )
        return render_status(rows, clock.wall_clock())
