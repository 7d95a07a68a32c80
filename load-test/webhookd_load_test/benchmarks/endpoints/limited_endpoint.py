"""An endpoint that takes so many requests a second and answers each further one with 429."""

import time
from collections import Counter

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest

CHANGES_AT_S = 60
"""When the limit rises, in seconds since the first request."""

TAKEN, REFUSED = Answer(), Answer(status=429)
BURST_S = 0.25
"""How much of a second's requests the endpoint takes at once."""


class LimitedEndpoint:
    """A server that takes so many requests a second as `limit` says; counts by the second since its first request."""

    def __init__(self) -> None:
        self.taken: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._began_at = 0.0
        self._full_at = 0.0
        self._server = HttpEndpoint(self._answer)
        self.url = f"{self._server.url}/hook"
        self._server.start()

    @property
    def lasts_s(self) -> float:
        """The time since the first request."""
        return time.monotonic() - self._began_at if self._began_at else 0.0

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def _answer(self, _request: ReceivedRequest) -> Answer:
        """Count a request; 200, or 429 above the limit."""
        now = time.monotonic()
        self._began_at = self._began_at or now
        second = int(now - self._began_at)
        full_at = max(self._full_at, now) + 1.0 / limit(second)
        if full_at - now > BURST_S:
            self.refused[second] += 1
            return REFUSED
        self._full_at = full_at
        self.taken[second] += 1
        return TAKEN


def limit(second: int) -> int:
    """The requests a second that the endpoint takes."""
    return 100 if second < CHANGES_AT_S else 300
