"""The wire format of policies and their confirmation."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.description.keywords import accepts
from api.description.objects import CONDITIONAL
from api.extensions.request_fields import Choice, Identifier, ListOf, Part, QueryNumber, Text, WholeNumber
from api.extensions.request_schema import RequestSchema
from api.resources.policy import validators
from api.resources.subscription.validators import topic
from webhookd.flow.policy.policy import Effect

EXPRESSION = 4096
PATHS = 100
DESCRIPTION = 2000
PRIORITY_MAX = 1_000_000
VERSION_MAX = 2**31 - 1
PAGE = 100
PAGE_MAX = 1000

ID_IN_PATH = {"in": "path", "name": "policy_id", "description": "The policy's id."}
"""The path parameter of all routes below a policy, for the OpenAPI document."""


_INCLUDE = ListOf(
    Text(expected='a path, such as "order.id"', most=500),
    least=1,
    most=PATHS,
    metadata={
        "description": 'The paths that are seen, such as `order.id`, `items[].price`, `"@key"` or '
        '`"@headers".trace-id`.',
        CONDITIONAL: True,
    },
)
_EXCLUDE = ListOf(
    Text(expected='a path, such as "customer.email"', most=500),
    least=1,
    most=PATHS,
    metadata={
        "description": "The paths of the value that are not seen, such as `customer.email`.",
        CONDITIONAL: True,
    },
)
_EXPRESSION = Text(
    expected="a JMESPath expression",
    least=1,
    most=EXPRESSION,
    metadata={
        "description": "A JMESPath expression whose result is seen as the value, such as "
        "`{id: order_id, total: total}`.",
        "format": "jmespath",
        CONDITIONAL: True,
    },
)


class _ProjectionChecks(RequestSchema):
    @validates_schema
    def _one_kind(self, data: dict[str, Any], **_options: object) -> None:
        if len(data) != 1:
            found = f"has {' and '.join(data)}" if data else "is empty"
            raise ValidationError(f"{found}: write one of include, exclude and expression")


# `exclude` is an attribute of marshmallow's Schema, so the fields are not attributes of a class.
ProjectionSchema = _ProjectionChecks.from_dict(
    {"include": _INCLUDE, "exclude": _EXCLUDE, "expression": _EXPRESSION}, name="ProjectionSchema"
)
accepts(minProperties=1, maxProperties=1)(ProjectionSchema)
ProjectionSchema.__doc__ = "What is seen of a record: one of the three. Key and headers are not seen unless included."


class MissingMemberSchema(Schema):
    """An ingest process that has not confirmed the version."""

    member = fields.String(metadata={"description": "The id of the process, as in its log line `ingest_started`."})
    confirmed_version = fields.Integer(metadata={"description": "The version that it has confirmed last."})
    heartbeat_age_seconds = fields.Float(
        metadata={
            "description": "How old its last heartbeat is. A process without a heartbeat has been killed, or goes on "
            "without the database until `WEBHOOKD_POLICY_MAX_AGE_S`."
        }
    )


class ConfirmationSchema(Schema):
    """Which ingest processes have confirmed a version of the policies."""

    version = fields.Integer(metadata={"description": "The version of all policies together."})
    confirmed = fields.Boolean(
        metadata={
            "description": "`true`: nothing that was rendered under an older version can be sent any more. `false`: "
            "processes are missing, or it is not known."
        }
    )
    missing = fields.List(
        fields.Nested(MissingMemberSchema), metadata={"description": "The processes that have not confirmed it."}
    )
    detail = fields.String(metadata={"description": "Why it is not confirmed, for people; empty if it is."})


class PolicySchema(RequestSchema):
    """What a tenant may see of the records of topics."""

    id = Identifier(
        load_default=None,
        metadata={"description": "Given by webhookd. A PUT may send it back; it has to be the one in the path."},
    )
    version = WholeNumber(
        1,
        VERSION_MAX,
        load_default=None,
        metadata={
            "description": "Grows by one with every change. A PUT that sends it back changes this version only, and "
            "gets 409 if there is a later one."
        },
    )
    tenant = Text(
        load_default=None,
        allow_none=True,
        validate=validators.tenant,
        metadata={"description": "Whom the policy is for; null: every tenant.", "example": "acme"},
    )
    topic = Text(
        required=True,
        expected='a topic\'s name or pattern, such as "orders" or "shop.*"',
        validate=validators.topic_pattern,
        metadata={
            "description": "The topic that the policy is about, or a pattern in which `*` stands for any characters.",
            "example": "orders",
        },
    )
    effect = Choice(
        [effect.value for effect in Effect],
        required=True,
        metadata={"description": "What happens to the records on which the condition holds. `deny` wins over `allow`."},
    )
    priority = WholeNumber(
        0,
        PRIORITY_MAX,
        load_default=100,
        metadata={
            "description": "Of the `allow` policies whose condition holds, the one with the lowest priority alone "
            "projects; of two with the same priority the one with the lower id."
        },
    )
    condition = Text(
        load_default="",
        most=EXPRESSION,
        metadata={
            "description": "A JMESPath expression on the whole record; empty: it holds for every record.",
            "format": "jmespath",
            "example": "region == 'EU'",
        },
    )
    projection = Part(
        ProjectionSchema,
        load_default=None,
        allow_none=True,
        metadata={"description": "What is seen of an allowed record; null: the whole record."},
    )
    description = Text(
        load_default="", most=DESCRIPTION, validate=validators.description, metadata={"description": "For people."}
    )
    created_at = fields.String(dump_only=True, metadata={"description": "ISO 8601, UTC."})
    updated_at = fields.String(dump_only=True, metadata={"description": "ISO 8601, UTC."})
    confirmation = fields.Nested(
        ConfirmationSchema,
        dump_only=True,
        metadata={
            "description": "Only in responses to POST and PUT: which ingest processes deliver under it already.",
            CONDITIONAL: True,
        },
    )


class PolicyPageSchema(RequestSchema):
    """Which policies to list."""

    tenant = Text(
        load_default=None,
        validate=validators.tenant,
        metadata={"description": "Only those that apply to this tenant; also those for every tenant."},
    )
    topic = Text(load_default=None, validate=topic, metadata={"description": "Only those that apply to this topic."})
    after = Identifier(
        load_default=None, metadata={"description": "The last id of the previous page; leave it out for the first."}
    )
    limit = QueryNumber(
        1, PAGE_MAX, load_default=PAGE, metadata={"description": "How many policies a page holds at most."}
    )


class VersionPageSchema(RequestSchema):
    """Which versions of a policy to list."""

    before = QueryNumber(
        1,
        VERSION_MAX,
        load_default=None,
        metadata={"description": "The last version of the previous page; leave it out for the first."},
    )
    limit = QueryNumber(
        1, PAGE_MAX, load_default=PAGE, metadata={"description": "How many versions a page holds at most."}
    )


class WrittenPolicySchema(PolicySchema):
    """A policy as it was written: without what every answer about it adds."""

    class Meta(RequestSchema.Meta):
        """Its version and its time are those of the entry."""

        exclude = ("version", "created_at", "updated_at", "confirmation")


class PolicyVersionSchema(Schema):
    """One version of a policy, as it was written."""

    version = fields.Integer(metadata={"description": "The version; 1 is the first."})
    policy = fields.Nested(
        WrittenPolicySchema,
        allow_none=True,
        metadata={"description": "The policy, without its version and times; null: it was deleted."},
    )
    changed_at = fields.String(metadata={"description": "When it was written: ISO 8601, UTC."})
    changed_by = fields.String(metadata={"description": "The name and the id of the API key; empty without one."})
