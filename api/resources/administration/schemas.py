"""The wire format of the switch, and of what it shows."""

from marshmallow import Schema, fields
from marshmallow.validate import Length, OneOf

from api.resources.status.schemas import TopicSchema
from webhookd.flow.control.administration import Availability

MESSAGE = 2000


class SwitchSchema(Schema):
    """Which way the switch is turned."""

    status = fields.String(required=True, validate=OneOf([status.value for status in Availability]))
    offline_message = fields.String(
        load_default="",
        validate=Length(max=MESSAGE),
        metadata={"description": "For people: stands in every subscription's recent activity."},
    )


class WebhookOverviewSchema(Schema):
    """One subscription, as its own Status has it."""

    id = fields.String()
    name = fields.String()
    timestamp = fields.String(metadata={"description": "when this was answered: ISO 8601, UTC"})
    status = fields.String(metadata={"enum": ["healthy", "unhealthy", "inactive"]})
    topics = fields.List(fields.Nested(TopicSchema))


class AdministrationSchema(Schema):
    """The switch as it stands, and every subscription."""

    id = fields.String()
    kind = fields.String(metadata={"enum": ["WebhookAdmin"]})
    status = fields.String(metadata={"enum": [status.value for status in Availability]})
    offline_message = fields.String()
    webhooks = fields.List(fields.Nested(WebhookOverviewSchema), metadata={"description": "in the order of their ids"})
