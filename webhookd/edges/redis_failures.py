"""Says in one line why Redis or a Sentinel cannot be used, from the errors of redis-py and kombu."""

import ssl
from collections.abc import Iterator

import redis


def detail_of(error: BaseException) -> str:
    """Return the reason, and what to check if certificate, login or rights are the reason."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                to_check = "WEBHOOKD_REDIS_CA_FILE and the host in WEBHOOKD_REDIS_URL"
                return f"the certificate is refused: {cause.verify_message}: check {to_check}"
            case ssl.SSLError():
                to_check = "WEBHOOKD_REDIS_CLIENT_CERT_FILE, and scheme and port in WEBHOOKD_REDIS_URL"
                return f"TLS failed: {cause.reason or cause}: check {to_check}"
            case redis.AuthenticationError():
                return f"the login is refused: {text_of(cause)}: check user and password in WEBHOOKD_REDIS_URL"
            case redis.exceptions.NoPermissionError():
                return f"a right is missing: {text_of(cause)}: check the ACL of the user in WEBHOOKD_REDIS_URL"
    return text_of(error)


def text_of(error: BaseException) -> str:
    """The server's text with its code; redis-py removes the codes that it knows from the text."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what has caused it; kombu and redis-py wrap errors several times."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
