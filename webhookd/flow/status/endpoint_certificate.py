"""The certificate of a subscription's endpoint, as its status shows it and a warning is about it."""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.errors import InvalidInput
from webhookd.flow.attempt.target import Target

WARN_BEFORE_S = 14 * 86400.0
"""How long before the expiry the owner is warned. Issuers that renew automatically do it earlier, usually a third of
the lifetime before: a certificate that is still in use then was probably forgotten."""


class CertificateState(StrEnum):
    """Whether a certificate expires within WARN_BEFORE_S, or has expired."""

    VALID = "valid"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCertificate:
    """The leaf certificate that `host` and `port` have shown; times are seconds since the epoch.

    `expires_at` is its `notAfter` (RFC 5280 §4.1.2.5). `seen_at` is when a worker has last reported it.
    """

    host: str
    port: int
    expires_at: float
    seen_at: float

    def state(self, now: float) -> CertificateState:
        """Return whether it is valid for long enough."""
        if self.expires_at <= now:
            return CertificateState.EXPIRED
        return CertificateState.EXPIRES_SOON if self.expires_at - WARN_BEFORE_S <= now else CertificateState.VALID

    def belongs_to(self, url: str) -> bool:
        """Whether the endpoint with this URL has shown it; False for an http URL, and for one that cannot be used."""
        try:
            target = Target.parse(url)
        except InvalidInput:
            return False
        return target.tls and (target.host, target.port) == (self.host, self.port)


def certificate_of(url: str, expires_at: float, now: float) -> EndpointCertificate | None:
    """Return the certificate that a worker has reported for this endpoint; None for an http URL."""
    target = Target.parse(url)
    if not target.tls:
        return None
    return EndpointCertificate(host=target.host, port=target.port, expires_at=expires_at, seen_at=now)
