"""What to do about a failed exchange, by failure code or HTTP status (the keys of reason_codes.EXCHANGE_CODES)."""

from collections.abc import Mapping

from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.verification import CONSENT_MISSING

OPERATOR = "Ask the operator of webhookd: "

REACHABLE = "Check that the endpoint runs and can be reached from the internet at the host and port of the URL."
ANSWER = "Make the endpoint answer with a 2xx status within its time limit."
PROXY = OPERATOR + "the outgoing proxy (WEBHOOKD_EGRESS_PROXY) "
REFUSES = (
    "The endpoint rejects these requests. Check that it accepts this content, and that the subscription's URL and "
    "headers are correct."
)
FEWER = (
    "webhookd already sends fewer requests to this endpoint. Let the endpoint accept more requests, or send more "
    "records in each request: a larger max_batch_size."
)

CONSENT = (
    "Let the endpoint answer as the subscription's destination.webhook.verification says: options with "
    "WebHook-Allowed-Origin, echo with the challenge. Then ask at once with POST …/Verification, or wait."
)

TO_DO: Mapping[str, str] = {
    FailureCode.DNS_FAILED: "Check the host name in the subscription's URL and its DNS records.",
    FailureCode.URL_REFUSED: (
        "Use a URL that the rules of this installation allow, or ask the operator of webhookd to change them (the "
        "settings WEBHOOKD_EGRESS_…). Then change the subscription's URL, or wait for the next probe."
    ),
    FailureCode.ADDRESS_REFUSED: (
        "Use an endpoint with a public address, or ask the operator of webhookd to allow this "
        "address (WEBHOOKD_EGRESS_ALLOW)."
    ),
    FailureCode.CONNECT_REFUSED: REACHABLE,
    FailureCode.CONNECT_TIMEOUT: REACHABLE + " A firewall may drop the packets.",
    FailureCode.CONNECT_FAILED: REACHABLE,
    FailureCode.PROXY_REFUSED: PROXY + "must allow connections to the endpoint.",
    FailureCode.PROXY_FAILED: PROXY + "must be repaired. The request did not reach the endpoint.",
    FailureCode.TLS_FAILED: (
        "Check the endpoint's certificate: its host name, its expiry date, and that the endpoint sends the whole "
        "chain. If it requires a client certificate or has a private authority, set destination.webhook.tls of the "
        "subscription."
    ),
    FailureCode.TIMEOUT: (
        "Make the endpoint answer with a 2xx status within its time limit: store the records, answer, and process them "
        "afterwards. Smaller batches help too."
    ),
    FailureCode.CONNECTION_RESET: "Find out in the endpoint's log why it closes the connection before it has answered.",
    FailureCode.RESPONSE_MALFORMED: "Check that the URL's scheme and port are those of an HTTP server.",
    FailureCode.RESPONSE_TOO_LARGE: "Make the endpoint answer with a short status line, and few interim responses.",
    FailureCode.TOKEN_UNAVAILABLE: (
        "Check that the token endpoint (token_url in the subscription's authentication) runs, can be reached from the "
        "internet and answers in time."
    ),
    FailureCode.TOKEN_REFUSED: (
        "Check client_id, client_secret, scope and audience in the subscription's authentication, and that token_url "
        "is the token endpoint itself: webhookd does not follow redirects."
    ),
    FailureCode.TOKEN_MALFORMED: (
        "Check that token_url in the subscription's authentication is a token endpoint of OAuth 2.0: it has to answer "
        "with JSON that has an access_token of the type Bearer."
    ),
    FailureCode.TOKEN_NOT_ALLOWED: (
        "Use a token_url that the rules of this installation allow, or ask the operator of webhookd to change them "
        "(the settings WEBHOOKD_EGRESS_…). Then change the subscription, or wait for the next probe."
    ),
    FailureCode.INTERNAL_ERROR: OPERATOR + "the workers' log shows the error. The endpoint is not the cause.",
    CONSENT_MISSING: CONSENT,
    "http_1xx": ANSWER,
    "http_2xx": ("Make the endpoint answer with one of the subscription's success_codes, or add the status to them."),
    "http_3xx": "Set the subscription's URL to the one that the endpoint redirects to.",
    "http_401": (
        "Check the headers and the authentication of the subscription: the endpoint does not accept their credentials."
    ),
    "http_403": "Check the headers of the subscription, and whether the endpoint allows webhookd's address.",
    "http_404": "Check the path in the subscription's URL.",
    "http_405": "Check the path in the URL of the subscription, and its method: POST, PUT or PATCH.",
    "http_410": "If the endpoint should receive records again, change its URL or set the subscription active.",
    "http_413": (
        "webhookd makes batches smaller by itself, and max_batch_bytes bounds them. A record that is too large alone "
        "needs an endpoint that accepts larger requests."
    ),
    "http_429": FEWER,
    "http_4xx": REFUSES,
    "http_503": FEWER,
    "http_5xx": "Find out in the endpoint's log why it fails, and make it answer with a 2xx status.",
    "http_other": ANSWER,
}
