"""The wire format of the switch, and of what it shows."""

from marshmallow import Schema, fields

from api.description import patterns
from api.extensions.cursors import CursorField
from api.extensions.request_fields import Choice, QueryNumber, Text
from api.extensions.request_schema import RequestSchema
from api.resources.administration.overview import PAGE
from api.resources.status.schemas import TopicSchema
from webhookd.flow.control.administration import Availability

MESSAGE = 2000


class SwitchSchema(RequestSchema):
    """Whether webhookd is to be online or offline."""

    status = Choice(
        [status.value for status in Availability],
        required=True,
        metadata={"description": "`offline` stops every subscription; `online` starts them again."},
    )
    offline_message = Text(
        most=MESSAGE,
        load_default="",
        metadata={
            "description": "The reason, for people; shown in every subscription's recent activity.",
            "pattern": patterns.STORABLE,
        },
    )


class OverviewSchema(RequestSchema):
    """Which page of the subscriptions to return."""

    cursor = CursorField(
        load_default=None,
        metadata={
            "description": "Where the page begins: take it from the `Link` header of the previous page.",
            "type": "string",
        },
    )
    limit = QueryNumber(
        1, PAGE, load_default=PAGE, metadata={"description": "How many subscriptions a page holds at most."}
    )


class WebhookOverviewSchema(Schema):
    """One subscription, as in its own status."""

    id = fields.String(metadata={"description": "The subscription's id."})
    name = fields.String(metadata={"description": "Its name."})
    timestamp = fields.String(metadata={"description": "When this response was made: ISO 8601, UTC."})
    status = fields.String(
        metadata={"enum": ["healthy", "unhealthy", "inactive"], "description": "The subscription's status."}
    )
    topics = fields.List(fields.Nested(TopicSchema), metadata={"description": "Its topics."})


class AdministrationSchema(Schema):
    """Whether webhookd is online, and every subscription."""

    id = fields.String(metadata={"description": "Always `1`."})
    kind = fields.String(metadata={"enum": ["WebhookAdmin"], "description": "The kind of this document."})
    status = fields.String(
        metadata={
            "enum": [status.value for status in Availability],
            "description": "`offline`: no subscription delivers.",
        }
    )
    offline_message = fields.String(metadata={"description": "The reason that was given with the last change."})
    webhooks = fields.List(
        fields.Nested(WebhookOverviewSchema),
        metadata={"description": "The subscriptions of the page, in the order of the ids."},
    )
