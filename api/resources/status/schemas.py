"""The wire format of a subscription's status."""

from marshmallow import Schema, fields

from webhookd.flow.status.activity import Event
from webhookd.flow.status.delivery_status import DeliveryState


class ActivitySchema(Schema):
    """One event: a request to the endpoint, or a change of the status with its reason in `error`."""

    timestamp = fields.String(metadata={"description": "ISO 8601, UTC"})
    event = fields.String(metadata={"enum": [event.value for event in Event]})
    calls = fields.Integer(metadata={"description": "how many successful calls this row stands for; the last is shown"})
    request = fields.String(metadata={"example": "POST https://example.com/hook"})
    request_headers = fields.List(fields.String(), metadata={"description": "values masked"})
    response_code = fields.Integer(allow_none=True)
    response_body = fields.String(metadata={"description": "what the endpoint sent, and nothing else"})
    response_headers = fields.List(fields.String())
    error = fields.String(metadata={"description": "the failure's code, or the reason of a change"})
    detail = fields.String(metadata={"description": "what webhookd says about the error: no word of the endpoint's"})


class TopicSchema(Schema):
    """One topic as ingest sees it."""

    topic = fields.String()
    partitions = fields.Integer(metadata={"description": "0: the topic does not exist (yet, or any more)"})


class CountersSchema(Schema):
    """What became of records; all but dead_lettered since the ingest process that owns the subscription started."""

    delivered = fields.Integer()
    filtered = fields.Integer()
    filter_errors = fields.Integer()
    last_filter_error = fields.String()
    dead_lettered = fields.Integer(metadata={"description": "kept in the dead-letter store"})


class LostRangeSchema(Schema):
    """Records that Kafka no longer held when they were to be read (its retention was shorter than the failure)."""

    topic = fields.String()
    partition = fields.Integer()
    first = fields.Integer(data_key="from", attribute="from", metadata={"description": "the first lost offset"})
    last = fields.Integer(data_key="to", attribute="to", metadata={"description": "the last lost offset"})
    count = fields.Integer()
    timestamp = fields.String(metadata={"description": "when it was noticed"})


class ProblemSchema(Schema):
    """Why a subscription delivers less than it should."""

    code = fields.String(metadata={"description": "one short word"})
    meaning = fields.String(metadata={"description": "the same in one line"})
    detail = fields.String(metadata={"description": "for people"})
    since = fields.String(metadata={"description": "ISO 8601, UTC"})


class FailureSchema(Schema):
    """The last attempt that failed: what the endpoint answered, or what webhookd says where there was no answer."""

    code = fields.String()
    timestamp = fields.String(metadata={"description": "ISO 8601, UTC"})
    response_code = fields.Integer(allow_none=True)
    response_body = fields.String(metadata={"description": "the endpoint's words, shortened"})
    detail = fields.String(metadata={"description": "webhookd's words"})


class DeliverySchema(Schema):
    """What the deliveries are doing now; of several failing lanes (partitions) the one that fails for longest."""

    state = fields.String(
        metadata={
            "enum": [state.value for state in DeliveryState],
            "description": "failing: the last attempt failed and another follows; circuit_open: no attempt is left, a "
            "probe is made now and then; stopped: the subscription is off, offline or unusable",
        }
    )
    since = fields.String(allow_none=True, metadata={"description": "when it began to fail"})
    attempt = fields.Integer(allow_none=True, metadata={"description": "failed attempts of the batch so far"})
    max_attempts = fields.Integer(allow_none=True, metadata={"description": "so many it has: max_retries + 1"})
    next_attempt_at = fields.String(
        allow_none=True, metadata={"description": "null: it is under way, or may begin at any time"}
    )
    lanes = fields.Integer(metadata={"description": "partitions that are read"})
    lanes_failing = fields.Integer()
    last_failure = fields.Nested(FailureSchema, allow_none=True)


class RecipientSchema(Schema):
    """An address that its newest mail did not get to."""

    address = fields.String()
    state = fields.String(
        metadata={
            "enum": ["later", "refused", "given_up"],
            "description": "later: it is tried again; refused: it never will be taken; given_up: tried for three days",
        }
    )
    detail = fields.String(metadata={"description": "what the mail server said"})
    since = fields.String(metadata={"description": "of the first mail that was not delivered: ISO 8601, UTC"})
    timestamp = fields.String(metadata={"description": "of the last try"})


class AlertsSchema(Schema):
    """Whether alerts get to their addresses."""

    undelivered = fields.Integer(
        metadata={"description": "mails refused or given up, counted for each address since the last it has got"}
    )
    last_error = fields.String(metadata={"description": "of the newest try that failed"})
    recipients = fields.List(fields.Nested(RecipientSchema), metadata={"description": "those that fail, 20 at most"})


class StatusSchema(Schema):
    """How a subscription is doing."""

    id = fields.String()
    kind = fields.String(metadata={"enum": ["WebhookStatus"]})
    name = fields.String()
    active = fields.String(metadata={"enum": ["yes", "no"]})
    payload_url = fields.String()
    timestamp = fields.String(metadata={"description": "when this was answered: ISO 8601, UTC"})
    status = fields.String(metadata={"enum": ["healthy", "unhealthy", "inactive"]})
    reason = fields.String(metadata={"description": "one short word, empty when healthy"})
    since = fields.String(allow_none=True, metadata={"description": "of the last change of health"})
    failing_since = fields.String(
        allow_none=True, metadata={"description": "when the batch that fails for longest failed first"}
    )
    last_failure = fields.String(metadata={"description": "code: what the endpoint answered, or webhookd's words"})
    delivery = fields.Nested(DeliverySchema)
    problems = fields.List(
        fields.Nested(ProblemSchema), metadata={"description": "every cause, the one that `reason` names first"}
    )
    lag = fields.Integer(
        allow_none=True,
        metadata={"description": "offsets between the watermarks and the ends; null while it is not known"},
    )
    lost_ranges = fields.List(fields.Nested(LostRangeSchema), metadata={"description": "newest last, 20 at most"})
    topics = fields.List(fields.Nested(TopicSchema))
    counters = fields.Nested(CountersSchema)
    alerts = fields.Nested(AlertsSchema)
    recent_activity = fields.List(fields.Nested(ActivitySchema), metadata={"description": "newest first, 50 at most"})
