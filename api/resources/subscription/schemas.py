"""The wire format of a subscription; fields that are not in here are refused."""

from typing import Any

from marshmallow import Schema, fields, validates_schema

from api.description import patterns
from api.description.objects import CONDITIONAL, NEVER_NULL
from api.extensions.request_fields import Choice, Identifier, ListOf, Part, QueryNumber, Text, WholeNumber
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import request_options, validators
from api.resources.subscription.authentication_schemas import AuthenticationSchema, one_authorization
from api.resources.subscription.delivery_schemas import DeliveryLimitsSchema, check_burst
from api.resources.subscription.labels import Labels
from api.resources.subscription.registration_warnings import MEANINGS
from api.resources.subscription.signing_schemas import SigningSchema
from api.resources.subscription.tls_schemas import TlsSchema
from api.resources.subscription.verification_schemas import VerificationSchema
from webhookd.flow.access.tenant_name import PATTERN
from webhookd.flow.subscription import OnExhausted, OnFilterError, RetryAlgorithm, Start

HEADERS = 50
TOPICS = 20
FILTERS = 20
EMAILS = 20
DESCRIPTION = 1000
PAGE = 100
PAGE_MAX = 1000

ID_IN_PATH = {"in": "path", "name": "subscription_id", "description": "The subscription's id."}
"""The path parameter of all routes below a subscription, for the OpenAPI document."""


class WebhookSchema(RequestSchema):
    """The endpoint, and the headers that it gets."""

    url = Text(
        expected="a URL, such as https://example.com/hook",
        most=2048,
        required=True,
        validate=validators.url,
        metadata={
            "description": "Where the batches are posted: `http` or `https`, without user and password.",
            "example": "https://example.com/hook",
        },
    )
    headers = ListOf(
        Text(expected='"Name: value"', validate=validators.header),
        most=HEADERS,
        load_default=list,
        metadata={
            "description": "Sent with every request, each as `Name: value`. Responses show values as `****`; a value "
            "that is sent back as `****` stays as it is.",
            "example": ["X-Api-Key: secret"],
            "uniqueItems": True,
        },
    )
    signing = Part(SigningSchema, load_default=lambda: None)
    authentication = Part(AuthenticationSchema, load_default=None, allow_none=True)
    method = request_options.METHOD
    success_codes = request_options.SUCCESS_CODES
    tls = Part(TlsSchema, load_default=None, allow_none=True)
    verification = Part(VerificationSchema, load_default=lambda: VerificationSchema().load({}))

    @validates_schema
    def _one_authorization(self, data: dict[str, Any], **_options: object) -> None:
        one_authorization(data["headers"], data["authentication"])

    @validates_schema
    def _headers_differ(self, data: dict[str, list[str]], **_options: object) -> None:
        validators.headers_differ(data["headers"])


class DestinationSchema(RequestSchema):
    """Where the batches are sent."""

    kind = Choice(["webhook"], load_default="webhook", metadata={"description": "The kind of destination."})
    webhook = Part(WebhookSchema, required=True)


class SourceSchema(RequestSchema):
    """One topic, and the filters that a record has to pass."""

    topic = Text(required=True, validate=validators.topic, metadata={"description": "Name of the Kafka topic."})
    jmes_filters = ListOf(
        Text(expected="a JMESPath expression", validate=validators.jmes_filter),
        most=FILTERS,
        load_default=list,
        metadata={
            "description": "JMESPath expressions. A record is delivered when all of them hold for it: none returns "
            "`false`, `null`, or an empty string, list or object. Without filters every record is delivered."
        },
    )
    start = Choice(
        [start.value for start in Start],
        load_default=None,
        metadata={
            "description": "Where reading begins; `latest` if not given. It cannot change once the topic is read.",
            NEVER_NULL: True,
        },
    )


class BatchingSchema(RequestSchema):
    """How many records and bytes are sent in one request."""

    max_batch_size = WholeNumber(
        1,
        1000,
        load_default=1,
        metadata={"description": "How many records a request holds at most."},
    )
    max_batch_interval_seconds = WholeNumber(
        1,
        300,
        load_default=1,
        metadata={"description": "How long a record waits for others at most before its batch is sent, in seconds."},
    )
    max_batch_bytes = request_options.MAX_BATCH_BYTES


class RetrySchema(RequestSchema):
    """How often a failed batch is sent again, and what happens after the last attempt."""

    max_retries = WholeNumber(
        0,
        10,
        load_default=5,
        metadata={"description": "How often a batch is sent again after its first attempt has failed."},
    )
    retry_algorithm = Choice(
        [algorithm.value for algorithm in RetryAlgorithm],
        load_default=RetryAlgorithm.EXPONENTIAL_BACKOFF.value,
        metadata={
            "description": "How long webhookd waits between attempts. `exponential_backoff`: 5 s, doubling, at most "
            "15 min. `fixed_time`: 30 s. Both ±20 %."
        },
    )
    on_exhausted = Choice(
        [policy.value for policy in OnExhausted],
        load_default=OnExhausted.PAUSE.value,
        metadata={
            "description": "What happens when no attempt is left, or when the endpoint refused the batch in a way that "
            "another attempt cannot change. `pause` keeps the position in Kafka and sends the batch again at growing "
            "intervals. `dead_letter` stores the batch's records as dead letters and continues with the next batch."
        },
    )
    on_rejected = request_options.ON_REJECTED
    dead_letter_topic = Text(
        load_default=None,
        allow_none=True,
        validate=validators.topic,
        metadata={"description": "A Kafka topic that gets a copy of every dead letter. It has to exist."},
    )


class AlertingSchema(RequestSchema):
    """Who gets a mail when deliveries fail."""

    alert_channel = Choice(["email"], load_default="email", metadata={"description": "How alerts are sent."})
    alert_emails = ListOf(
        Text(expected="a mail address", most=254, validate=validators.email),
        most=EMAILS,
        load_default=list,
        metadata={
            "description": "Each address gets a mail of its own. An address that is not ASCII before the @ needs a "
            "mail server with SMTPUTF8."
        },
    )


class FilteringSchema(RequestSchema):
    """What happens to a record on which the filters cannot be evaluated."""

    on_filter_error = Choice(
        [policy.value for policy in OnFilterError],
        load_default=OnFilterError.DEAD_LETTER.value,
        metadata={
            "description": "What happens to a record when a filter raises an error on its types and no other filter "
            "rejects it. `dead_letter` stores it as a dead letter with the cause `filter_error`; `drop` drops it and "
            "counts it. A record on which a filter takes too many steps always becomes a dead letter "
            "(`filter_too_costly`)."
        },
    )


class ConfigurationSchema(RequestSchema):
    """Batching, retry, delivery, alerting and filtering; each part has defaults."""

    batching = Part(BatchingSchema, load_default=lambda: BatchingSchema().load({}))
    retry = Part(RetrySchema, load_default=lambda: RetrySchema().load({}))
    delivery = Part(DeliveryLimitsSchema, load_default=lambda: DeliveryLimitsSchema().load({}))
    alerting = Part(AlertingSchema, load_default=lambda: AlertingSchema().load({}))
    filtering = Part(FilteringSchema, load_default=lambda: FilteringSchema().load({}))

    @validates_schema
    def _batch_fits_burst(self, data: dict[str, Any], **_options: object) -> None:
        check_burst(data)


class WarningSchema(Schema):
    """A field whose value is accepted, but probably not what was meant."""

    field = fields.String(metadata={"description": "Path of the field."})
    code = fields.String(metadata={"enum": list(MEANINGS), "description": "Which warning."})
    reason = fields.String(metadata={"description": "Why the value is probably not what was meant."})


class UnusableSubscriptionSchema(Schema):
    """In lists, a subscription whose stored configuration cannot be used. A PUT replaces it."""

    id = fields.String(metadata={"description": "The subscription's id."})
    kind = fields.String(metadata={"enum": ["Webhook"], "description": "The kind of this document."})
    tenant = fields.String(metadata={"description": "Whose subscription it is."})
    unusable = fields.String(metadata={"description": "Why the stored configuration cannot be used."})
    health = fields.String(metadata={"enum": ["healthy", "unhealthy", "inactive"], "description": "Its status."})
    reason = fields.String(metadata={"description": "The reason code of the status."})
    lag = fields.Integer(allow_none=True, metadata={"description": "How many offsets are not settled yet."})


class SubscriptionSchema(RequestSchema):
    """Topics, a destination, and how records get there."""

    id = Identifier(
        load_default=None,
        metadata={
            "description": "Given by webhookd. A PUT may send it back; it has to be the one in the path.",
            "readOnly": True,
            NEVER_NULL: True,
        },
    )
    kind = Choice(["Webhook"], load_default="Webhook", metadata={"description": "The kind of this document."})
    tenant = Text(
        expected="the name of a tenant, such as acme",
        load_default=None,
        validate=validators.tenant,
        metadata={
            "description": "Whose subscription it is; `default` if an operator names none. A client's key decides it: "
            "leave it out. It cannot be changed.",
            "pattern": f"^{PATTERN}$",
            "example": "acme",
            NEVER_NULL: True,
        },
    )
    name = Text(
        least=1,
        most=200,
        required=True,
        validate=validators.name,
        metadata={"description": "A name for people; several subscriptions may have the same."},
    )
    description = Text(
        most=DESCRIPTION,
        load_default="",
        metadata={
            "description": "What the subscription is for; it may have several lines.",
            "pattern": patterns.STORABLE,
        },
    )
    labels = Labels(
        load_default=dict,
        metadata={
            "description": "Names and values of your own, such as `team: billing`; webhookd does not interpret them.",
            "example": {"team": "billing"},
        },
    )
    external_id = Text(
        expected="your own id of the subscription",
        least=1,
        most=200,
        load_default=None,
        allow_none=True,
        validate=validators.name,
        metadata={
            "description": "Your own id of the subscription, or `null`. Unique among the subscriptions of a tenant: "
            "one that is taken is refused with 409.",
            "example": "shop-4711",
        },
    )
    active = Choice(
        ["yes", "no"],
        load_default="yes",
        metadata={"description": "`no` deactivates the subscription; its position in Kafka stays."},
    )
    destination = Part(DestinationSchema, required=True)
    source = ListOf(
        Part(SourceSchema),
        least=1,
        most=TOPICS,
        required=True,
        metadata={"description": "The topics to read, each once.", "uniqueItems": True},
    )
    configuration = Part(ConfigurationSchema, load_default=lambda: ConfigurationSchema().load({}))
    created_at = fields.String(
        dump_only=True,
        metadata={
            "format": "date-time",
            "description": "When it was registered, in UTC. It may be sent back, and has no effect.",
        },
    )
    updated_at = fields.String(
        dump_only=True,
        metadata={
            "format": "date-time",
            "description": "When a PUT, a PATCH or a rotation last changed it, in UTC. It may be sent back, and "
            "has no effect.",
        },
    )
    unusable = fields.String(
        dump_only=True,
        metadata={
            "description": "Only in lists: why the stored configuration cannot be used. A PUT replaces it.",
            CONDITIONAL: True,
        },
    )
    health = fields.String(
        dump_only=True,
        metadata={
            "enum": ["healthy", "unhealthy", "inactive"],
            "description": "Only in lists: the subscription's status, as in its status document.",
            CONDITIONAL: True,
        },
    )
    reason = fields.String(
        dump_only=True,
        metadata={
            "description": "Only in lists: the reason code of the status, empty while healthy.",
            CONDITIONAL: True,
        },
    )
    lag = fields.Integer(
        dump_only=True,
        allow_none=True,
        metadata={
            "description": "Only in lists: how many offsets are not settled yet; null while unknown or inactive.",
            CONDITIONAL: True,
        },
    )
    warnings = fields.List(
        fields.Nested(WarningSchema),
        dump_only=True,
        metadata={
            "description": "Only in responses to POST, PUT and PATCH: what was probably not meant. It may be sent "
            "back, and has no effect.",
            CONDITIONAL: True,
        },
    )

    @validates_schema
    def _topics_differ(self, data: dict[str, list[dict[str, str]]], **_options: object) -> None:
        validators.topics_differ(data["source"])

    @validates_schema
    def _dead_letters_leave(self, data: dict[str, Any], **_options: object) -> None:
        validators.not_a_source(data["configuration"]["retry"]["dead_letter_topic"], data["source"])


class PageSchema(RequestSchema):
    """Which page of a list to return."""

    after = Identifier(
        load_default=None, metadata={"description": "The last id of the previous page; leave it out for the first."}
    )
    limit = QueryNumber(
        1,
        PAGE_MAX,
        load_default=PAGE,
        metadata={"description": "How many subscriptions a page holds at most."},
    )
