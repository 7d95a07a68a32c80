"""The wire format of a subscription's status."""

from marshmallow import Schema, fields

from webhookd.flow.dispatch.request_quota import HeldBy
from webhookd.flow.status.activity import Event
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.endpoint_certificate import CertificateState


class ActivitySchema(Schema):
    """One event: a request to the endpoint, or a change of the status."""

    timestamp = fields.String(metadata={"description": "When it happened: ISO 8601, UTC."})
    event = fields.String(
        metadata={
            "enum": [event.value for event in Event],
            "description": "`api_call` is a request; the others name the new status.",
        }
    )
    calls = fields.Integer(
        metadata={"description": "How many successful requests this event combines; the last one is shown."}
    )
    request = fields.String(metadata={"description": "Method and URL.", "example": "POST https://example.com/hook"})
    request_headers = fields.List(
        fields.String(), metadata={"description": "The request's headers; values are masked."}
    )
    response_code = fields.Integer(
        allow_none=True, metadata={"description": "The HTTP status; null when there was no response."}
    )
    response_body = fields.String(metadata={"description": "The response's body as the endpoint sent it, shortened."})
    response_headers = fields.List(fields.String(), metadata={"description": "The response's headers."})
    error = fields.String(metadata={"description": "The failure code of a request, or the reason of a change."})
    detail = fields.String(
        metadata={"description": "webhookd's explanation of the error, without text of the endpoint."}
    )


class TopicSchema(Schema):
    """One topic, as ingest last read its metadata."""

    topic = fields.String(metadata={"description": "The topic's name."})
    partitions = fields.Integer(
        metadata={"description": "How many partitions it has. 0: the topic does not exist, yet or any more."}
    )


class CountersSchema(Schema):
    """Numbers of records since the subscription was registered; `dead_lettered` is the number now."""

    delivered = fields.Integer(metadata={"description": "Records that the endpoint acknowledged."})
    filtered = fields.Integer(metadata={"description": "Records that a filter rejected."})
    denied = fields.Integer(metadata={"description": "Records that no policy of the operators lets through."})
    filter_errors = fields.Integer(metadata={"description": "Records on which a filter could not be evaluated."})
    last_filter_error = fields.String(metadata={"description": "The last of these errors; empty without one."})
    dead_lettered = fields.Integer(metadata={"description": "Dead letters that are stored now."})


class LostRangeSchema(Schema):
    """Records that Kafka's retention removed before webhookd read them."""

    topic = fields.String(metadata={"description": "The topic."})
    partition = fields.Integer(metadata={"description": "The partition."})
    first = fields.Integer(data_key="from", attribute="from", metadata={"description": "The first lost offset."})
    last = fields.Integer(data_key="to", attribute="to", metadata={"description": "The last lost offset."})
    count = fields.Integer(metadata={"description": "How many records are lost at most."})
    timestamp = fields.String(metadata={"description": "When it was noticed: ISO 8601, UTC."})


class ProblemSchema(Schema):
    """Why a subscription delivers less than it should."""

    code = fields.String(metadata={"description": "The reason's code."})
    meaning = fields.String(metadata={"description": "The code in words."})
    detail = fields.String(metadata={"description": "More about this case, for people."})
    since = fields.String(metadata={"description": "When it began: ISO 8601, UTC."})


class FailureSchema(Schema):
    """The last attempt that failed."""

    code = fields.String(metadata={"description": "The failure code."})
    timestamp = fields.String(metadata={"description": "When it failed: ISO 8601, UTC."})
    response_code = fields.Integer(
        allow_none=True, metadata={"description": "The HTTP status; null when there was no response."}
    )
    response_body = fields.String(metadata={"description": "The response's body as the endpoint sent it, shortened."})
    detail = fields.String(metadata={"description": "webhookd's explanation of the failure."})


class DeliverySchema(Schema):
    """The state of the deliveries. Of several failing lanes (partitions), the one that fails for longest is shown."""

    state = fields.String(
        metadata={
            "enum": [state.value for state in DeliveryState],
            "description": "`failing`: the last attempt failed and another follows. `circuit_open`: no attempt "
            "is left; the endpoint is probed at intervals. `stopped`: the subscription is inactive, offline or "
            "unusable.",
        }
    )
    since = fields.String(allow_none=True, metadata={"description": "When it began to fail."})
    attempt = fields.Integer(allow_none=True, metadata={"description": "How many attempts of the batch have failed."})
    max_attempts = fields.Integer(
        allow_none=True, metadata={"description": "How many attempts a batch has: `max_retries` + 1."}
    )
    next_attempt_at = fields.String(
        allow_none=True,
        metadata={"description": "When the next attempt is due; null when it is in progress or may begin now."},
    )
    lanes = fields.Integer(metadata={"description": "How many partitions are read."})
    lanes_failing = fields.Integer(metadata={"description": "How many of them fail."})
    limited_by = fields.String(
        allow_none=True,
        metadata={
            "enum": [*(reason.value for reason in HeldBy), None],
            "description": "What holds records back although requests succeed: a limit of the subscription or of its "
            "host, or an answer 429 or 503. Null when nothing does.",
        },
    )
    last_failure = fields.Nested(
        FailureSchema, allow_none=True, metadata={"description": "Null when no attempt of the batch failed."}
    )


class RecipientSchema(Schema):
    """An address that did not get its newest mail."""

    address = fields.String(metadata={"description": "The mail address."})
    state = fields.String(
        metadata={
            "enum": ["later", "refused", "given_up"],
            "description": "`later`: it is tried again. `refused`: the mail server refused it for good. `given_up`: "
            "it was tried for three days.",
        }
    )
    detail = fields.String(metadata={"description": "The mail server's response."})
    since = fields.String(metadata={"description": "When the first mail was not delivered: ISO 8601, UTC."})
    timestamp = fields.String(metadata={"description": "When the last mail was tried: ISO 8601, UTC."})


class AlertsSchema(Schema):
    """Whether alerts reach their addresses."""

    undelivered = fields.Integer(
        metadata={
            "description": "How many mails were refused or given up, for each address since its last delivered mail."
        }
    )
    last_error = fields.String(metadata={"description": "The mail server's response to the newest mail that failed."})
    recipients = fields.List(
        fields.Nested(RecipientSchema), metadata={"description": "The addresses that fail, 20 at most."}
    )


class CertificateSchema(Schema):
    """The certificate of the endpoint, as workers have seen it in a TLS handshake."""

    host = fields.String(metadata={"description": "The host that has shown it."})
    port = fields.Integer(metadata={"description": "The port."})
    state = fields.String(
        metadata={
            "enum": [state.value for state in CertificateState],
            "description": "`expires_soon`: within 14 days, or in the last quarter of a life shorter than 56 days. The "
            "`alert_emails` get one mail. It does not change `status`: from the expiry on, requests over new "
            "connections fail, unless `tls.verify` is `no`.",
        }
    )
    expires_at = fields.String(metadata={"description": "When it expires (its `notAfter`): ISO 8601, UTC."})
    seen_at = fields.String(
        metadata={
            "description": "When a worker last reported it; each worker process reports an unchanged one at most once "
            "an hour: ISO 8601, UTC."
        }
    )


class StatusSchema(Schema):
    """The status of a subscription."""

    id = fields.String(metadata={"description": "The subscription's id."})
    kind = fields.String(metadata={"enum": ["WebhookStatus"], "description": "The kind of this document."})
    name = fields.String(metadata={"description": "The subscription's name."})
    active = fields.String(metadata={"enum": ["yes", "no"], "description": "Whether it is active."})
    payload_url = fields.String(metadata={"description": "The endpoint's URL."})
    tls_verify = fields.String(
        metadata={
            "enum": ["yes", "no"],
            "description": "`no`: the endpoint's certificate is not verified, as the subscription says.",
        }
    )
    endpoint_certificate = fields.Nested(
        CertificateSchema,
        allow_none=True,
        metadata={
            "description": "The endpoint's certificate; null before the first TLS handshake, and for an `http` URL."
        },
    )
    timestamp = fields.String(metadata={"description": "When this response was made: ISO 8601, UTC."})
    status = fields.String(
        metadata={
            "enum": ["healthy", "unhealthy", "inactive"],
            "description": "`unhealthy`: it delivers less than it should. `inactive`: it is not active, or webhookd "
            "is offline.",
        }
    )
    reason = fields.String(metadata={"description": "The code of the reason; empty when healthy."})
    since = fields.String(allow_none=True, metadata={"description": "When `status` changed last."})
    failing_since = fields.String(
        allow_none=True, metadata={"description": "When the batch that fails for longest failed first."}
    )
    last_failure = fields.String(
        metadata={"description": "The last failure: its code, and the response or webhookd's explanation."}
    )
    delivery = fields.Nested(DeliverySchema)
    problems = fields.List(
        fields.Nested(ProblemSchema),
        metadata={"description": "Every reason why it is unhealthy; the one in `reason` comes first."},
    )
    lag = fields.Integer(
        allow_none=True,
        metadata={
            "description": "How many offsets lie between what is committed and the ends of the partitions; null while "
            "unknown."
        },
    )
    lost_ranges = fields.List(fields.Nested(LostRangeSchema), metadata={"description": "The newest last, 20 at most."})
    topics = fields.List(fields.Nested(TopicSchema), metadata={"description": "The subscription's topics."})
    counters = fields.Nested(CountersSchema)
    alerts = fields.Nested(AlertsSchema)
    recent_activity = fields.List(
        fields.Nested(ActivitySchema), metadata={"description": "The newest first, 50 at most."}
    )
