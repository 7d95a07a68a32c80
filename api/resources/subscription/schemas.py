"""The wire format of a subscription; fields that are not in here are refused."""

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

ID_IN_PATH = {"in": "path", "name": "subscription_id", "description": "The subscription's id."}
"""The path parameter of all routes below a subscription, for the OpenAPI document."""


class WholeNumber(fields.Integer):
    """An integer as JSON writes it: not "1", not true, not 1.0."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:  # noqa: ANN401  # marshmallow's own signature
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


class WebhookSchema(Schema):
    """The endpoint, and the headers that it gets."""

    url = fields.String(
        required=True,
        validate=[Length(max=2048), validators.url],
        metadata={
            "description": "Where the batches are posted: `http` or `https`, without user and password.",
            "example": "https://example.com/hook",
        },
    )
    headers = fields.List(
        fields.String(validate=validators.header),
        load_default=list,
        validate=Length(max=HEADERS),
        metadata={
            "description": "Sent with every request, each as `Name: value`. Responses show values as `****`; a value "
            "that is sent back as `****` stays as it is.",
            "example": ["X-Api-Key: secret"],
        },
    )

    @validates_schema
    def _headers_differ(self, data: dict[str, list[str]], **_options: object) -> None:
        validators.headers_differ(data["headers"])


class DestinationSchema(Schema):
    """Where the batches are sent."""

    kind = fields.String(
        load_default="webhook", validate=OneOf(["webhook"]), metadata={"description": "The kind of destination."}
    )
    webhook = fields.Nested(WebhookSchema, required=True)


class SourceSchema(Schema):
    """One topic, and the filters that a record has to pass."""

    topic = fields.String(
        required=True, validate=validators.topic, metadata={"description": "Name of the Kafka topic."}
    )
    jmes_filters = fields.List(
        fields.String(validate=validators.jmes_filter),
        load_default=list,
        validate=Length(max=FILTERS),
        metadata={
            "description": "JMESPath expressions. A record is delivered when all of them hold for it: none returns "
            "`false`, `null`, or an empty string, list or object. Without filters every record is delivered."
        },
    )
    start = fields.String(
        load_default=None,
        validate=OneOf([start.value for start in Start]),
        metadata={
            "description": "Where reading begins; `latest` if not given. It cannot change once the topic is read."
        },
    )


class BatchingSchema(Schema):
    """How many records are sent in one request."""

    max_batch_size = WholeNumber(
        load_default=1,
        validate=Range(1, 1000),
        metadata={"description": "How many records a request holds at most."},
    )
    max_batch_interval_seconds = WholeNumber(
        load_default=1,
        validate=Range(1, 300),
        metadata={"description": "How long a record waits for others at most before its batch is sent, in seconds."},
    )


class RetrySchema(Schema):
    """How often a failed batch is sent again, and what happens after the last attempt."""

    max_retries = WholeNumber(
        load_default=5,
        validate=Range(0, 10),
        metadata={"description": "How often a batch is sent again after its first attempt has failed."},
    )
    retry_algorithm = fields.String(
        load_default=RetryAlgorithm.EXPONENTIAL_BACKOFF.value,
        validate=OneOf([algorithm.value for algorithm in RetryAlgorithm]),
        metadata={
            "description": "How long webhookd waits between attempts. `exponential_backoff`: 5 s, doubling, at most "
            "15 min. `fixed_time`: 30 s. Both ±20 %."
        },
    )
    on_exhausted = fields.String(
        load_default=OnExhausted.PAUSE.value,
        validate=OneOf([policy.value for policy in OnExhausted]),
        metadata={
            "description": "What happens when no attempt is left, or when the endpoint refused the batch in a way that "
            "another attempt cannot change. `pause` keeps the position in Kafka and sends the batch again at growing "
            "intervals. `dead_letter` stores the batch's records as dead letters and continues with the next batch."
        },
    )
    dead_letter_topic = fields.String(
        load_default=None,
        allow_none=True,
        validate=validators.topic,
        metadata={"description": "A Kafka topic that gets a copy of every dead letter. It has to exist."},
    )


class AlertingSchema(Schema):
    """Who gets a mail when deliveries fail."""

    alert_channel = fields.String(
        load_default="email", validate=OneOf(["email"]), metadata={"description": "How alerts are sent."}
    )
    alert_emails = fields.List(
        fields.String(validate=[Length(max=254), validators.email], metadata={"format": "idn-email"}),
        load_default=list,
        validate=Length(max=EMAILS),
        metadata={
            "description": "Each address gets a mail of its own. An address that is not ASCII before the @ needs a "
            "mail server with SMTPUTF8."
        },
    )


class FilteringSchema(Schema):
    """What happens to a record on which the filters cannot be evaluated."""

    on_filter_error = fields.String(
        load_default=OnFilterError.DEAD_LETTER.value,
        validate=OneOf([policy.value for policy in OnFilterError]),
        metadata={
            "description": "What happens to a record when a filter raises an error on its types and no other filter "
            "rejects it. `dead_letter` stores it as a dead letter with the cause `filter_error`; `drop` drops it and "
            "counts it. A record on which a filter takes too many steps always becomes a dead letter "
            "(`filter_too_costly`)."
        },
    )


class ConfigurationSchema(Schema):
    """Batching, retry, alerting and filtering; each part has defaults."""

    batching = fields.Nested(BatchingSchema, load_default=lambda: BatchingSchema().load({}))
    retry = fields.Nested(RetrySchema, load_default=lambda: RetrySchema().load({}))
    alerting = fields.Nested(AlertingSchema, load_default=lambda: AlertingSchema().load({}))
    filtering = fields.Nested(FilteringSchema, load_default=lambda: FilteringSchema().load({}))


class SubscriptionSchema(Schema):
    """Topics, a destination, and how records get there."""

    id = fields.UUID(
        load_default=None,
        metadata={"description": "Given by webhookd. A PUT may send it back; it has to be the one in the path."},
    )
    kind = fields.String(
        load_default="Webhook", validate=OneOf(["Webhook"]), metadata={"description": "The kind of this document."}
    )
    name = fields.String(
        required=True,
        validate=[Length(min=1, max=200), validators.name],
        metadata={"description": "A name for people; several subscriptions may have the same."},
    )
    active = fields.String(
        load_default="yes",
        validate=OneOf(["yes", "no"]),
        metadata={"description": "`no` deactivates the subscription; its position in Kafka stays."},
    )
    destination = fields.Nested(DestinationSchema, required=True)
    source = fields.List(
        fields.Nested(SourceSchema),
        required=True,
        validate=Length(min=1, max=TOPICS),
        metadata={"description": "The topics to read, each once."},
    )
    configuration = fields.Nested(ConfigurationSchema, load_default=lambda: ConfigurationSchema().load({}))
    unusable = fields.String(
        dump_only=True,
        metadata={"description": "Only in lists: why the stored configuration cannot be used. A PUT replaces it."},
    )

    @validates_schema
    def _topics_differ(self, data: dict[str, list[dict[str, str]]], **_options: object) -> None:
        validators.topics_differ(data["source"])

    @validates_schema
    def _dead_letters_leave(self, data: dict[str, Any], **_options: object) -> None:
        validators.not_a_source(data["configuration"]["retry"]["dead_letter_topic"], data["source"])


class PageSchema(Schema):
    """Which page of a list to return."""

    after = fields.UUID(
        load_default=None, metadata={"description": "The last id of the previous page; leave it out for the first."}
    )
    limit = fields.Integer(
        load_default=PAGE,
        validate=Range(1, PAGE_MAX),
        metadata={"description": "How many subscriptions a page holds at most."},
    )
