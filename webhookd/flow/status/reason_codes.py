"""Every reason code of a subscription, each with its meaning in one line.

WEBHOOKD_CODES has webhookd's own codes. EXCHANGE_CODES has the results of failed exchanges: failure codes and HTTP
statuses, a status by itself (`http_429`) or by its class (`http_5xx`). tests/closure checks that each code has its
advice for a mail (flow/alerting/problem_advice.py, flow/alerting/failure_advice.py) and its row in
docs/reference/statuses.md.
"""

from collections.abc import Mapping

from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.verification import CONSENT_MISSING

WEBHOOKD_CODES: Mapping[str, str] = {
    "unusable_configuration": "The stored configuration cannot be used.",
    "not_allowed": "No policy allows the tenant to read a topic of the subscription.",
    "policies_outdated": "The ingest process could not read the policies for longer than it may go on without them.",
    "ingest_full": "The ingest process runs as many subscriptions as one process can; another process is needed.",
    "topic_missing": "A topic of the subscription does not exist.",
    "consumer_failed": "Reading from Kafka failed with an unexpected error.",
    "kafka_unavailable": "Kafka has not answered for half a minute.",
    "kafka_authentication_failed": "Kafka has refused webhookd's login or TLS connection for half a minute.",
    "records_unreadable": "webhookd could not decode a long series of consecutive records of a topic.",
    "dead_letters_full": "The limit of stored dead letters is reached; records that would become dead letters wait.",
    "dead_letter_topic_unavailable": "The Kafka topic for copies of dead letters does not accept them.",
    "filter_failing": "Filters fail on many records: the values have other types, or a filter takes too many steps.",
    "projection_failing": "The projection of a policy cannot be evaluated on many records, because of their types.",
    "records_lost": "Kafka had deleted records before webhookd could read them.",
    "worker_lost": "Three workers in a row were lost while they delivered the same batch.",
    "position_unknown": "For a minute webhookd could not learn from Kafka at which offset to read a partition.",
    "not_assigned": "For two minutes the consumer group has not assigned partitions to any consumer of webhookd.",
    "commit_failed": "Kafka has rejected commits for half a minute; after a restart webhookd sends records again.",
    "read_failed": "Kafka has reported a read error for half a minute.",
    "topic_denied": "Kafka does not authorise webhookd to read a topic.",
    "group_denied": "Kafka does not authorise webhookd to use the consumer group.",
    "deliveries_unclaimed": "For five minutes no worker has started a delivery.",
    "deliveries_stale": "For a minute workers have rejected deliveries because they belong to an older configuration.",
    "endpoint_unverified": "For a minute the endpoint has not shown that it wants the requests; it gets none before.",
    "secrets_unreadable": "A worker cannot decrypt the secrets of the subscription.",
    "destination_unusable": "A worker cannot use the options of the destination; the detail names the field.",
    "dead_letters_waiting": "Dead letters could not be stored for a minute; the records behind them wait.",
}

EXCHANGE_CODES: Mapping[str, str] = {
    FailureCode.DNS_FAILED: "The host name of the endpoint could not be resolved.",
    FailureCode.URL_REFUSED: "A rule of this installation forbids the scheme, host or port of the URL.",
    FailureCode.ADDRESS_REFUSED: "webhookd is not allowed to send to the endpoint's address.",
    FailureCode.CONNECT_REFUSED: "The endpoint's host refused the connection.",
    FailureCode.CONNECT_TIMEOUT: "The endpoint's host did not answer the connection request in time.",
    FailureCode.CONNECT_FAILED: "webhookd could not connect to the endpoint's host.",
    FailureCode.PROXY_REFUSED: "webhookd's outgoing proxy refused to connect to the endpoint.",
    FailureCode.PROXY_FAILED: "webhookd's outgoing proxy does not work.",
    FailureCode.TLS_FAILED: "The TLS handshake failed; the certificate may be wrong or expired.",
    FailureCode.TIMEOUT: "The endpoint did not answer the request in time.",
    FailureCode.CONNECTION_RESET: "The endpoint closed the connection before the status line of its answer arrived.",
    FailureCode.RESPONSE_MALFORMED: "The endpoint's answer has no HTTP status line, too many interim answers, or 101.",
    FailureCode.RESPONSE_TOO_LARGE: "The endpoint's answer has no status line within 16 KiB.",
    FailureCode.TOKEN_UNAVAILABLE: "The token endpoint did not answer, or is overloaded; the request was not sent.",
    FailureCode.TOKEN_REFUSED: "The token endpoint refused the client; the request was not sent.",
    FailureCode.TOKEN_MALFORMED: "The token endpoint's answer has no bearer token; the request was not sent.",
    FailureCode.TOKEN_NOT_ALLOWED: "webhookd is not allowed to send to the token endpoint; the request was not sent.",
    FailureCode.INTERNAL_ERROR: "Sending failed with an unexpected error.",
    CONSENT_MISSING: "The endpoint was asked whether it wants the requests, and its 2xx answer does not say so.",
    "http_1xx": "The endpoint answered with an interim status and sent no final one.",
    "http_2xx": "The endpoint answered with a 2xx status that is not one of the subscription's success codes.",
    "http_3xx": "The endpoint redirects to another URL; webhookd does not follow redirects.",
    "http_401": "The endpoint requires other credentials.",
    "http_403": "The endpoint forbids the request.",
    "http_404": "The endpoint does not know this URL.",
    "http_405": "The endpoint does not accept the method of the requests at this URL.",
    "http_410": "The endpoint is gone permanently; webhookd deactivates the subscription.",
    "http_413": "The request is too large for the endpoint.",
    "http_429": "The endpoint asks for fewer requests.",
    "http_4xx": "The endpoint rejects the request.",
    "http_503": "The endpoint is overloaded or under maintenance.",
    "http_5xx": "The endpoint reports an internal error.",
    "http_other": "The endpoint answered with an invalid HTTP status.",
}

CLASSES = frozenset({"http_1xx", "http_2xx", "http_3xx", "http_4xx", "http_5xx"})
HTTP = "http_"


def table_key(code: str) -> str:
    """Return the key of this code in the tables: the code itself, or the class of its HTTP status."""
    if code in WEBHOOKD_CODES or code in EXCHANGE_CODES or not code.startswith(HTTP):
        return code
    by_class = f"{HTTP}{code.removeprefix(HTTP)[:1]}xx"
    return by_class if by_class in CLASSES else "http_other"


def meaning(code: str) -> str:
    """Return the meaning in one line; empty for an unknown code, which comes from another release."""
    known = table_key(code)
    return WEBHOOKD_CODES.get(known) or EXCHANGE_CODES.get(known) or ""
