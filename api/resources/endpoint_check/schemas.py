"""The wire format of the check of an endpoint."""

from marshmallow import Schema, fields

from api.extensions.request_fields import Text
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import validators
from webhookd.flow.attempt.target import MAX_URL_CHARS


class EndpointCheckSchema(RequestSchema):
    """Which URL to judge."""

    url = Text(
        expected="a URL, such as https://example.com/hook",
        most=MAX_URL_CHARS,
        required=True,
        validate=validators.url,
        metadata={
            "description": "The URL, as a subscription would have it: of an endpoint, or the `token_url` of its "
            "authentication.",
            "example": "https://example.com/hook",
        },
    )


class JudgedAddressSchema(Schema):
    """An address of the URL's host."""

    address = fields.String(metadata={"description": "An IPv4 or IPv6 address."})
    allowed = fields.Boolean(metadata={"description": "Whether it may be dialled."})
    rule = fields.String(allow_none=True, metadata={"description": "The rule that refuses it; null for none."})


class EndpointCheckResultSchema(Schema):
    """Whether requests may go to the URL now."""

    accepted = fields.Boolean(
        allow_none=True,
        metadata={
            "description": "`true`: requests may go there now. `false`: `rules` refuse it. `null`: not known, as "
            "`reason` says: the host cannot be resolved now, or an egress proxy judges it."
        },
    )
    rules = fields.List(
        fields.String(),
        metadata={
            "description": "The names of the rules that refuse the URL, or all addresses of its host. A registration "
            "refuses the URL too, unless these are about the addresses of a name: those may change, so they are a "
            "warning there."
        },
    )
    reason = fields.String(
        metadata={"description": "Why it is not accepted, for people; empty for an accepted one. Its subject is `url`."}
    )
    judged_by = fields.String(
        metadata={
            "enum": ["webhookd", "proxy"],
            "description": "`proxy`: the egress proxy of this installation resolves the host and judges its addresses; "
            "webhookd has judged the scheme, the host and the port.",
        }
    )
    addresses = fields.List(
        fields.Nested(JudgedAddressSchema),
        allow_none=True,
        metadata={
            "description": "The addresses that the host has now. `null` for clients if the host is a name, and if it "
            "was not looked up. One that may be dialled is enough."
        },
    )
