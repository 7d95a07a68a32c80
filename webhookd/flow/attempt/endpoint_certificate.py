"""When the certificate of an endpoint expires, as a worker learns it, and whether ingest has to be told.

A certificate is seen in a full TLS handshake only: a resumed session shows the one of the handshake that began it. So
the HTTP client repeats the full handshake from time to time (edges/http_client/tls.py), and a renewed one is noticed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from webhookd.flow.attempt.target import Target

FULL_HANDSHAKE_AGAIN_S = 3600.0
"""A TLS session is resumed for so long after its full handshake. With a longer time a renewed certificate stays unknown
for longer; with a shorter one new connections cost more: a full handshake takes about 1 ms of CPU at the endpoint."""

REPORT_AGAIN_S = 3600.0
"""How often an unchanged certificate is reported once more, so that ingest knows until when it was in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """A leaf certificate of a full handshake: `expires_at` is its `notAfter` (RFC 5280 §4.1.2.5) since the epoch.

    0 stands for a time that cannot be read. `seen_at` is the time of the handshake by the monotonic clock.
    """

    expires_at: float
    seen_at: float


LatestCertificate = Callable[[Target], SeenCertificate | None]
"""Returns what an endpoint has shown in the latest full handshake; None before the first one."""


class ReportedCertificate:
    """The certificate that this process has last reported for one version of a subscription; used by one thread."""

    __slots__ = ("_latest", "_reported")

    def __init__(self, latest: LatestCertificate) -> None:
        self._latest = latest
        self._reported: SeenCertificate | None = None

    def news(self, target: Target) -> float:
        """Return when the certificate expires if that is to be reported, seconds since the epoch; 0 if it is not.

        It is to be reported when it is new, and when a handshake long after the reported one has shown it again.
        """
        seen, known = self._latest(target), self._reported
        if seen is known or seen is None:
            return 0.0
        if known is not None and seen.expires_at == known.expires_at and seen.seen_at < known.seen_at + REPORT_AGAIN_S:
            return 0.0
        self._reported = seen
        return seen.expires_at
