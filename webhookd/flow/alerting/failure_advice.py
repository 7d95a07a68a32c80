"""What to do about an exchange that failed, by failure code or HTTP status (the keys of reason_codes.EXCHANGES)."""

from collections.abc import Mapping

from webhookd.flow.attempt.exchange_result import FailureCode

OPERATOR = "Ask who runs webhookd: "

REACHABLE = "Check that the endpoint runs and can be reached from the internet at the host and port of the URL."
ANSWER = "Make the endpoint answer with a 2xx status within its time limit."
PROXY = OPERATOR + "the outgoing proxy (WEBHOOKD_EGRESS_PROXY) "
REFUSES = (
    "The endpoint refuses these requests. Check that it accepts what is sent, and that the subscription's URL and "
    "headers are right."
)
FEWER = (
    "webhookd waits longer between two requests by itself. Let the endpoint take more requests, or send more records "
    "with each: a larger max_batch_size."
)

TO_DO: Mapping[str, str] = {
    FailureCode.DNS_FAILED: "Check the host name in the subscription's URL and its DNS records.",
    FailureCode.ADDRESS_REFUSED: (
        "Use an endpoint with a public address; or ask who runs webhookd to allow this one (WEBHOOKD_EGRESS_ALLOW)."
    ),
    FailureCode.CONNECT_REFUSED: REACHABLE,
    FailureCode.CONNECT_TIMEOUT: REACHABLE + " A firewall may drop the packets.",
    FailureCode.CONNECT_FAILED: REACHABLE,
    FailureCode.PROXY_REFUSED: PROXY + "has to allow connections to the endpoint.",
    FailureCode.PROXY_FAILED: PROXY + "has to be mended. The endpoint was not asked.",
    FailureCode.TLS_FAILED: (
        "Check the endpoint's certificate: its host name, its end date, and that the chain is sent whole. If it asks "
        "for a client certificate, or its authority is a private one, ask who runs webhookd."
    ),
    FailureCode.TIMEOUT: (
        "Make the endpoint answer with a 2xx status within its time limit: take the records in, answer, work on them "
        "afterwards. Smaller batches help too."
    ),
    FailureCode.CONNECTION_RESET: "Find out in the endpoint's log why it closes the connection before it has answered.",
    FailureCode.RESPONSE_MALFORMED: "Check that the URL's scheme and port are those of an HTTP server.",
    FailureCode.RESPONSE_TOO_LARGE: "Make the endpoint answer with fewer or shorter headers.",
    FailureCode.INTERNAL_ERROR: OPERATOR + "the workers' log says what failed. The endpoint is not to blame.",
    "http_1xx": ANSWER,
    "http_3xx": "Put the URL that the endpoint redirects to into the subscription.",
    "http_401": "Check the headers of the subscription: the endpoint accepts no login that it finds there.",
    "http_403": "Check the headers of the subscription, and whether the endpoint lets webhookd's address in.",
    "http_404": "Check the path in the subscription's URL.",
    "http_405": "Check the path in the subscription's URL: webhookd sends POST.",
    "http_410": "If the endpoint is to receive again, change its URL or set the subscription active.",
    "http_413": "Make the batches smaller (max_batch_size), or let the endpoint take larger requests.",
    "http_429": FEWER,
    "http_4xx": REFUSES,
    "http_503": FEWER,
    "http_5xx": "Find out in the endpoint's log why it fails, and make it answer with a 2xx status.",
    "http_other": ANSWER,
}
