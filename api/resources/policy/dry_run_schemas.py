"""The wire format of a dry run."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.extensions.request_fields import Choice, ListOf, Part, RequestField, Text, WholeNumber
from api.extensions.request_schema import RequestSchema
from api.resources.policy import validators
from api.resources.policy.schemas import PolicySchema
from api.resources.subscription.validators import topic
from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.authorization.authorizer import Verdict

RECORDS = 50
HEADERS = 50
NAME = 1000
TEXT = 256 * 1024

_BYTES = 'as text, or as `{"base64": "…"}` where the bytes are not UTF-8; null where there is none.'


class AnyJson(RequestField, fields.Raw):
    """Any JSON value; null is one too."""

    expected = "any JSON value"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        del value
        return None


class SampleHeaderSchema(RequestSchema):
    """One header of a record."""

    name = Text(required=True, most=NAME, metadata={"description": "The header's name."})
    value = Text(load_default=None, allow_none=True, most=TEXT, metadata={"description": "Its value, as text."})


class SampleRecordSchema(RequestSchema):
    """A record to try the policies on."""

    value = AnyJson(
        load_default=None,
        allow_none=True,
        metadata={"description": "The record's value. Without it, and without `text`, the record is a tombstone."},
    )
    text = Text(
        load_default=None,
        allow_none=True,
        most=TEXT,
        metadata={"description": 'Instead of `value`: the value\'s exact text, such as `{"total": 1.10}`.'},
    )
    key = Text(load_default=None, allow_none=True, most=TEXT, metadata={"description": "The record's key, as text."})
    headers = ListOf(
        Part(SampleHeaderSchema), most=HEADERS, load_default=list, metadata={"description": "The record's headers."}
    )

    @validates_schema
    def _one_value(self, data: dict[str, Any], **_options: object) -> None:
        if data["text"] is not None and data["value"] is not None:
            raise ValidationError("has value and text: write one of them")


class DryRunSchema(RequestSchema):
    """Whose view of which topic to show, under which policies, on which records."""

    tenant = Text(
        load_default=DEFAULT_TENANT, validate=validators.tenant, metadata={"description": "Whose view to show."}
    )
    topic = Text(required=True, validate=topic, metadata={"description": "The topic of the records."})
    policy = Part(
        PolicySchema,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "A policy that is tried out: in place of the stored one with its `id`, or in addition to "
            "those that are stored."
        },
    )
    stored = Choice(
        ["yes", "no"],
        load_default="yes",
        metadata={"description": "`no`: the stored policies are left aside; only `policy` applies."},
    )
    records = ListOf(
        Part(SampleRecordSchema),
        least=1,
        most=RECORDS,
        load_default=None,
        metadata={
            "description": "The records; without them the values of the topic's last records are read from Kafka, "
            "without keys and headers."
        },
    )
    count = WholeNumber(
        1, RECORDS, load_default=10, metadata={"description": "How many of the topic's last records to read."}
    )


class SeenHeaderSchema(Schema):
    """One header of a record."""

    name = fields.String(metadata={"description": "The header's name."})
    value = fields.Raw(allow_none=True, metadata={"description": f"The header's value, {_BYTES}"})


class SeenSchema(Schema):
    """What is seen of a record."""

    key = fields.Raw(allow_none=True, metadata={"description": f"The key, {_BYTES}"})
    headers = fields.List(fields.Nested(SeenHeaderSchema), metadata={"description": "The headers, in their order."})
    value = fields.Raw(allow_none=True, metadata={"description": f"The value, with its exact text, {_BYTES}"})


class FailedConditionSchema(Schema):
    """A condition that could not be evaluated."""

    policy = fields.String(metadata={"description": "The policy's id."})
    reason = fields.String(metadata={"description": "Why it could not be evaluated."})


class DecisionSchema(Schema):
    """What is decided about one record, and why."""

    verdict = fields.String(
        metadata={
            "enum": [verdict.value for verdict in Verdict],
            "description": "`undecodable`: the value is not JSON, or has a name twice. `projection_failed`: nothing is "
            "sent, and the record becomes a dead letter.",
        }
    )
    policy = fields.String(
        allow_none=True, metadata={"description": "The id of the policy that decided; null if none allows the record."}
    )
    seen = fields.Nested(
        SeenSchema, allow_none=True, metadata={"description": "What is seen of the record; null: nothing."}
    )
    detail = fields.String(metadata={"description": "Why the record is undecodable, or the projection failed."})
    failed_conditions = fields.List(
        fields.Nested(FailedConditionSchema),
        metadata={"description": "A deny whose condition fails denies; an allow whose condition fails does not allow."},
    )


class DryRunResultSchema(Schema):
    """What the tenant would see."""

    governed = fields.Boolean(metadata={"description": "Whether there is a policy of the topic, for any tenant."})
    allowed = fields.Boolean(
        metadata={"description": "Whether the tenant may subscribe to the topic; each record may still be denied."}
    )
    policies = fields.List(
        fields.String(), metadata={"description": "The ids of the policies that apply, in the order of their priority."}
    )
    complete = fields.Boolean(metadata={"description": "`false`: the time was up before the last record."})
    records = fields.List(
        fields.Nested(DecisionSchema), metadata={"description": "The decisions, in the order of the records."}
    )
