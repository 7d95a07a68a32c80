"""Says in one line why Redis cannot be used, from the errors of redis-py and kombu."""

import ssl
from collections.abc import Iterator
from typing import Final

import redis

from webhookd.edges.redis_primary import text_of

CERTIFICATE: Final = "WEBHOOKD_REDIS_CA_FILE and the host in WEBHOOKD_REDIS_URL"


def detail_of(error: BaseException) -> str:
    """Return the reason, with what to check if the login, the rights or the certificate is the cause."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"the certificate of Redis is refused: {cause.verify_message}: check {CERTIFICATE}"
            case ssl.SSLError():
                return (
                    f"TLS with Redis failed: {cause.reason or cause}: check the scheme and port in WEBHOOKD_REDIS_URL"
                )
            case redis.AuthenticationError():
                return f"Redis refuses the login: {text_of(cause)}: check user and password in WEBHOOKD_REDIS_URL"
            case redis.exceptions.NoPermissionError():
                return f"Redis denies a right: {text_of(cause)}: check the ACL of the user in WEBHOOKD_REDIS_URL"
    return text_of(error) if isinstance(error, redis.RedisError) else str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what has caused it; kombu and redis-py wrap errors several times."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
