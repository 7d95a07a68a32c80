"""The certificate of a subscription's endpoint, as its status shows it and a warning is about it."""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.errors import InvalidInput
from webhookd.flow.attempt.endpoint_certificate import Validity
from webhookd.flow.attempt.target import Target

WARN_BEFORE_S = 14 * 86400.0
"""How long before the expiry the owner is warned, at most. A certificate that is still in use then was probably
forgotten: programs that renew certificates usually do it when a third of the lifetime is left."""

LAST_PART = 0.25
"""The part of the lifetime before whose begin no warning is given. Otherwise each of the certificates that are valid
for a few days, and renewed in time, would cause a mail."""


class CertificateState(StrEnum):
    """Whether the owner is warned that a certificate expires, or it has expired."""

    VALID = "valid"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCertificate:
    """The leaf certificate that `host` and `port` have shown; times are seconds since the epoch.

    `begins_at` and `expires_at` are its validity. `seen_at` is when a worker has last reported it.
    """

    host: str
    port: int
    begins_at: float
    expires_at: float
    seen_at: float

    @property
    def warn_at(self) -> float:
        """When the owner is to be warned."""
        return self.expires_at - min(WARN_BEFORE_S, LAST_PART * (self.expires_at - self.begins_at))

    def state(self, now: float) -> CertificateState:
        """Return whether it is valid for long enough."""
        if self.expires_at <= now:
            return CertificateState.EXPIRED
        return CertificateState.EXPIRES_SOON if self.warn_at <= now else CertificateState.VALID

    def belongs_to(self, url: str) -> bool:
        """Whether the endpoint with this URL has shown it; False for an http URL, and for one that cannot be used."""
        try:
            target = Target.parse(url)
        except InvalidInput:
            return False
        return target.tls and (target.host, target.port) == (self.host, self.port)


def certificate_of(url: str, validity: Validity, now: float) -> EndpointCertificate | None:
    """Return the certificate that a worker has reported for this endpoint; None for an http URL."""
    target = Target.parse(url)
    if not target.tls:
        return None
    return EndpointCertificate(
        host=target.host,
        port=target.port,
        begins_at=validity.begins_at,
        expires_at=validity.expires_at,
        seen_at=now,
    )
