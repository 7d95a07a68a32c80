"""How long one request of a subscription takes: what a worker's thread is held for at least."""

SLOW_REQUEST_S = 0.5
"""A request that takes longer is slow. A delivery of other requests ends within 0.75 s (0.25 s of sending and the last
request), so threads change hands within a second."""


class RequestTime:
    """Shared by all lanes of a subscription, which have one endpoint. Rises at once, falls by half with each report."""

    __slots__ = ("_mean_s",)

    def __init__(self) -> None:
        self._mean_s = 0.0

    @property
    def slow(self) -> bool:
        """Whether the next request is expected to be slow."""
        return self._mean_s > SLOW_REQUEST_S

    def measured(self, requests: int, elapsed_s: float) -> None:
        """So many requests, one after another, took so long."""
        if requests > 0:
            mean_s = elapsed_s / requests
            self._mean_s = max(mean_s, (self._mean_s + mean_s) / 2)

    def at_least(self, elapsed_s: float) -> None:
        """A request has been open for so long and has no answer yet."""
        self._mean_s = max(self._mean_s, elapsed_s)
