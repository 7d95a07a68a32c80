"""The wire format of a subscription, to the letter; what is not in here is refused."""

from typing import Any

from marshmallow import Schema, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range

from api.resources.subscription import validators
from webhookd.flow.subscription import OnExhausted, OnFilterError, RetryAlgorithm, Start

HEADERS = 50
TOPICS = 20
FILTERS = 20
EMAILS = 20
PAGE = 100
PAGE_MAX = 1000


class WholeNumber(fields.Integer):
    """An integer as JSON writes it: not "1", not true, not 1.0."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:  # noqa: ANN401  # marshmallow's own signature
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


class WebhookSchema(Schema):
    """The endpoint."""

    url = fields.String(
        required=True,
        validate=[Length(max=2048), validators.url],
        metadata={"example": "https://example.com/hook"},
    )
    headers = fields.List(
        fields.String(validate=validators.header),
        load_default=list,
        validate=Length(max=HEADERS),
        metadata={
            "description": "Sent with every request. Values are answered as ****; sent back like that they are kept.",
            "example": ["X-Api-Key: secret"],
        },
    )

    @validates_schema
    def _headers_differ(self, data: dict[str, list[str]], **_options: object) -> None:
        validators.headers_differ(data["headers"])


class DestinationSchema(Schema):
    """Where the requests go."""

    kind = fields.String(load_default="webhook", validate=OneOf(["webhook"]))
    webhook = fields.Nested(WebhookSchema, required=True)


class SourceSchema(Schema):
    """One topic, and the filters a record must all pass."""

    topic = fields.String(required=True, validate=validators.topic)
    jmes_filters = fields.List(
        fields.String(validate=validators.jmes_filter),
        load_default=list,
        validate=Length(max=FILTERS),
    )
    start = fields.String(
        load_default=None,
        validate=OneOf([start.value for start in Start]),
        metadata={"description": "Where reading begins: latest if not given. Fixed once the topic is being read."},
    )


class BatchingSchema(Schema):
    """How many records make a request."""

    max_batch_size = WholeNumber(load_default=1, validate=Range(1, 1000))
    max_batch_interval_seconds = WholeNumber(load_default=1, validate=Range(1, 300))


class RetrySchema(Schema):
    """How often a failed batch is tried again."""

    max_retries = WholeNumber(load_default=5, validate=Range(0, 10))
    retry_algorithm = fields.String(
        load_default=RetryAlgorithm.EXPONENTIAL_BACKOFF.value,
        validate=OneOf([algorithm.value for algorithm in RetryAlgorithm]),
    )
    on_exhausted = fields.String(
        load_default=OnExhausted.PAUSE.value,
        validate=OneOf([policy.value for policy in OnExhausted]),
        metadata={
            "description": "When no attempt is left, or the endpoint refused for good: `pause` keeps the position and "
            "probes the endpoint at growing intervals; `dead_letter` puts the batch's records aside and goes on."
        },
    )
    dead_letter_topic = fields.String(
        load_default=None,
        allow_none=True,
        validate=validators.topic,
        metadata={"description": "A Kafka topic that gets a copy of every dead letter. It must exist."},
    )


class AlertingSchema(Schema):
    """Who is told when deliveries fail."""

    alert_channel = fields.String(load_default="email", validate=OneOf(["email"]))
    alert_emails = fields.List(
        fields.String(validate=[Length(max=254), validators.email], metadata={"format": "idn-email"}),
        load_default=list,
        validate=Length(max=EMAILS),
        metadata={"description": "Each gets a mail of its own. One that is not ASCII before the @ needs SMTPUTF8."},
    )


class FilteringSchema(Schema):
    """What happens where filters cannot judge a record."""

    on_filter_error = fields.String(
        load_default=OnFilterError.DEAD_LETTER.value,
        validate=OneOf([policy.value for policy in OnFilterError]),
        metadata={
            "description": "When a filter raises an error on a record's types and no other filter rejects the record: "
            "`dead_letter` puts it aside with the cause `filter_error`; `drop` drops it and counts it. A filter that "
            "is too costly for a record always makes a dead letter (`filter_too_costly`)."
        },
    )


class ConfigurationSchema(Schema):
    """Batching, retry, alerting and filtering, each with defaults."""

    batching = fields.Nested(BatchingSchema, load_default=lambda: BatchingSchema().load({}))
    retry = fields.Nested(RetrySchema, load_default=lambda: RetrySchema().load({}))
    alerting = fields.Nested(AlertingSchema, load_default=lambda: AlertingSchema().load({}))
    filtering = fields.Nested(FilteringSchema, load_default=lambda: FilteringSchema().load({}))


class SubscriptionSchema(Schema):
    """A subscription."""

    id = fields.UUID(
        load_default=None,
        metadata={"description": "Given by webhookd; may be sent back in a PUT, where it must be the one in the path."},
    )
    kind = fields.String(load_default="Webhook", validate=OneOf(["Webhook"]))
    name = fields.String(required=True, validate=[Length(min=1, max=200), validators.name])
    active = fields.String(load_default="yes", validate=OneOf(["yes", "no"]))
    destination = fields.Nested(DestinationSchema, required=True)
    source = fields.List(
        fields.Nested(SourceSchema),
        required=True,
        validate=Length(min=1, max=TOPICS),
    )
    configuration = fields.Nested(ConfigurationSchema, load_default=lambda: ConfigurationSchema().load({}))
    unusable = fields.String(
        dump_only=True,
        metadata={"description": "Only in lists: why the stored configuration cannot be used. PUT repairs it."},
    )

    @validates_schema
    def _topics_differ(self, data: dict[str, list[dict[str, str]]], **_options: object) -> None:
        validators.topics_differ(data["source"])

    @validates_schema
    def _dead_letters_leave(self, data: dict[str, Any], **_options: object) -> None:
        validators.not_a_source(data["configuration"]["retry"]["dead_letter_topic"], data["source"])


class PageSchema(Schema):
    """Which part of a list."""

    after = fields.UUID(load_default=None, metadata={"description": "The last id of the page before."})
    limit = fields.Integer(load_default=PAGE, validate=Range(1, PAGE_MAX))
