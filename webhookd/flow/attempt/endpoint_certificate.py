"""When the certificate of an endpoint is valid, as a worker learns it, and whether ingest has to be told.

A certificate is seen in a full TLS handshake only: a resumed session shows the one of the handshake that began it. So
the HTTP client repeats the full handshake from time to time (edges/http_client/tls.py), and a renewed one is noticed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from webhookd.flow.attempt.target import Target

FULL_HANDSHAKE_AGAIN_S = 3600.0
"""A TLS session is resumed for so long after its full handshake. With a longer time a renewed certificate stays unknown
for longer; with a shorter one new connections cost more: a full handshake takes about 1 ms of CPU at the endpoint."""

REPORT_AGAIN_S = 3600.0
"""How often an unchanged certificate is reported once more, so that ingest knows until when it was in use."""


class Validity(msgspec.Struct, frozen=True, array_like=True):
    """The validity of a certificate, `notBefore` and `notAfter` (RFC 5280 §4.1.2.5), in seconds since the epoch."""

    begins_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """The leaf certificate of a full handshake; its validity is None if it cannot be read.

    `seen_at` is the time of the handshake by the monotonic clock.
    """

    validity: Validity | None
    seen_at: float


LatestCertificate = Callable[[Target], SeenCertificate | None]
"""Returns what an endpoint has shown in the latest full handshake; None before the first one."""


class ReportedCertificate:
    """The certificate that this process has last reported for one version of a subscription; used by one thread."""

    __slots__ = ("_latest", "_reported")

    def __init__(self, latest: LatestCertificate) -> None:
        self._latest = latest
        self._reported: SeenCertificate | None = None

    def news(self, target: Target) -> Validity | None:
        """Return the validity of the certificate if it is to be reported.

        It is to be reported when it is new, and when a handshake long after the reported one has shown it again.
        """
        seen, known = self._latest(target), self._reported
        if seen is known or seen is None:
            return None
        if known is not None and seen.validity == known.validity and seen.seen_at < known.seen_at + REPORT_AGAIN_S:
            return None
        self._reported = seen
        return seen.validity
