"""The wire format of a question to an endpoint."""

from marshmallow import Schema, fields

from webhookd.flow.destination import Verification


class VerificationRequestedSchema(Schema):
    """The endpoint is going to be asked; the status of the subscription shows what it answers."""

    id = fields.String(metadata={"description": "The subscription's id."})
    kind = fields.String(metadata={"enum": ["WebhookVerification"], "description": "The kind of this document."})
    payload_url = fields.String(metadata={"description": "The endpoint's URL."})
    verification = fields.String(
        metadata={
            "enum": [kind.value for kind in Verification if kind is not Verification.NONE],
            "description": "How the endpoint is asked.",
        }
    )
