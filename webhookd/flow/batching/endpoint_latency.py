"""When the endpoint of a subscription last succeeded, and how long its requests take."""

from math import inf

SLOW_REQUEST_S = 0.5
"""A request that takes longer is slow. A delivery without slow requests ends within 0.75 s (0.25 s of sending, then the
last request). So its thread is free again within a second."""


class EndpointLatency:
    """Shared by all lanes of a subscription. The mean rises at once, and falls by half the difference with each report.

    `succeeded_at` is the time of the last success, in monotonic seconds.
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
        """Add a measurement: this number of requests, one after another, took `elapsed_s` together."""
        if requests > 0:
            self._open_s = 0.0  # a request that seemed to be slow may have been a late report
            mean_s = elapsed_s / requests
            self._mean_s = max(mean_s, (self._mean_s + mean_s) / 2)

    def at_least(self, elapsed_s: float) -> None:
        """Note that a request has had no response for `elapsed_s`."""
        self._open_s = max(self._open_s, elapsed_s)
