"""Every code that can be a subscription's reason, with what it means in one line.

A code of webhookd's own stands in OWN. What an exchange comes to is told by its failure code or by the endpoint's HTTP
status, which stand in EXCHANGES: a status by itself (`http_429`) or by its class (`http_5xx`). tests/closure holds that
each has its advice for a mail (flow/alerting/alert_text.py, flow/alerting/failure_advice.py) and its row in
docs/reference/statuses.md.
"""

from collections.abc import Mapping

from webhookd.flow.attempt.exchange_result import FailureCode

OWN: Mapping[str, str] = {
    "unusable_configuration": "The stored configuration cannot be used.",
    "topic_missing": "A topic of the subscription does not exist, yet or any more.",
    "intake_failed": "Reading failed in a way that webhookd did not foresee.",
    "kafka_unavailable": "Kafka has not answered for half a minute.",
    "records_unreadable": "So many records in a row could not be read that the topic is to blame.",
    "dead_letters_full": "As many dead letters are stored as may be; what would become another one waits.",
    "dead_letter_topic_unavailable": "The Kafka topic for copies of dead letters does not take them.",
    "filter_failing": "Filters cannot judge many of the records: they raise on their types, or cost too much.",
    "records_lost": "Kafka no longer held records when they were to be read.",
    "worker_lost": "The same batch cost three workers in a row their lives.",
    "position_unknown": "Kafka has not said for a minute where a partition is to be read from.",
    "not_assigned": "For two minutes the consumer group has assigned partitions to no reader of webhookd's.",
    "commit_failed": "Kafka has refused commits for half a minute: after a restart, records are sent again.",
    "read_failed": "Kafka has reported an error about reading for half a minute.",
    "topic_denied": "Kafka does not authorise webhookd to read a topic.",
    "group_denied": "Kafka does not authorise webhookd to use the consumer group.",
    "deliveries_unclaimed": "No worker has begun with a delivery for five minutes.",
    "deliveries_stale": "For a minute workers have refused the deliveries as those of an older configuration.",
    "dead_letters_waiting": "Dead letters could not be written for a minute; the records behind them wait.",
}

EXCHANGES: Mapping[str, str] = {
    FailureCode.DNS_FAILED: "The name of the endpoint's host could not be resolved.",
    FailureCode.ADDRESS_REFUSED: "webhookd is not allowed to send to the endpoint's address.",
    FailureCode.CONNECT_REFUSED: "The endpoint's host refused the connection.",
    FailureCode.CONNECT_TIMEOUT: "The endpoint's host did not answer the connection request in time.",
    FailureCode.CONNECT_FAILED: "No connection to the endpoint's host could be made.",
    FailureCode.PROXY_REFUSED: "webhookd's outgoing proxy refused to connect to the endpoint.",
    FailureCode.PROXY_FAILED: "webhookd's outgoing proxy does not work.",
    FailureCode.TLS_FAILED: "No secure connection was made; the certificate may be wrong or expired.",
    FailureCode.TIMEOUT: "The endpoint did not answer the request in time.",
    FailureCode.CONNECTION_RESET: "The endpoint closed the connection before its answer was complete.",
    FailureCode.RESPONSE_MALFORMED: "The endpoint's answer is not HTTP.",
    FailureCode.RESPONSE_TOO_LARGE: "The head of the endpoint's answer is too large.",
    FailureCode.INTERNAL_ERROR: "Sending failed in a way that webhookd did not foresee.",
    "http_1xx": "The endpoint answered with a status that ends no exchange.",
    "http_3xx": "The endpoint redirects to another URL; webhookd does not follow.",
    "http_401": "The endpoint asks for a login.",
    "http_403": "The endpoint forbids the request.",
    "http_404": "The endpoint knows no such URL.",
    "http_405": "The endpoint takes no POST at this URL.",
    "http_410": "The endpoint is gone for good: the subscription is switched off.",
    "http_413": "The request is too large for the endpoint.",
    "http_429": "The endpoint asks for fewer requests.",
    "http_4xx": "The endpoint refuses the request.",
    "http_503": "The endpoint is overloaded or under maintenance.",
    "http_5xx": "The endpoint failed.",
    "http_other": "The endpoint answered with a status that HTTP does not know.",
}

CLASSES = frozenset({"http_1xx", "http_3xx", "http_4xx", "http_5xx"})
HTTP = "http_"


def entry(code: str) -> str:
    """Under which code this one stands in the tables: itself, or the class of its HTTP status."""
    if code in OWN or code in EXCHANGES or not code.startswith(HTTP):
        return code
    by_class = f"{HTTP}{code.removeprefix(HTTP)[:1]}xx"
    return by_class if by_class in CLASSES else "http_other"


def meaning(code: str) -> str:
    """What it means, in one line; empty for a code that only another release knows."""
    known = entry(code)
    return OWN.get(known) or EXCHANGES.get(known) or ""
