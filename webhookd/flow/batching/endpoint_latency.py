"""How a subscription's endpoint has answered lately: when it last succeeded, and how long one request takes."""

from math import inf

SLOW_REQUEST_S = 0.5
"""A request that takes longer is slow. A delivery of other requests ends within 0.75 s (0.25 s of sending and the last
request), so threads change hands within a second."""


class EndpointLatency:
    """Shared by all lanes of a subscription, which have one endpoint. Rises at once, falls by half with each report.

    `succeeded_at` is the time of its last success, monotonic seconds.
    """

    __slots__ = ("_mean_s", "_open_s", "succeeded_at")

    def __init__(self) -> None:
        self.succeeded_at = -inf
        self._mean_s = 0.0
        self._open_s = 0.0

    @property
    def slow(self) -> bool:
        """Whether the next request is expected to be slow."""
        return max(self._mean_s, self._open_s) > SLOW_REQUEST_S

    def measured(self, requests: int, elapsed_s: float) -> None:
        """So many requests, one after another, took so long."""
        if requests > 0:
            self._open_s = 0.0  # what was taken for a slow answer may have been a late report
            mean_s = elapsed_s / requests
            self._mean_s = max(mean_s, (self._mean_s + mean_s) / 2)

    def at_least(self, elapsed_s: float) -> None:
        """A request has been open for so long and has no answer yet."""
        self._open_s = max(self._open_s, elapsed_s)
