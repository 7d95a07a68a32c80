"""How fast an endpoint takes batches, and so how many a delivery carries.

A delivery is sized by time: a fast endpoint gets large ones, a slow one single batches, so that nothing holds a
worker's thread for long and a change takes effect at once.
"""

_FIRST = 8
"""Batches in the first delivery of a lane, before anything is known: small enough for an endpoint that takes
200 ms a request, large enough that a fast one is measured."""

_GROWTH = 8.0
"""A lane may grow so many times from one delivery to the next: one lucky measurement does not size the next one."""


class ThroughputEstimate:
    """Batches per second of one lane, measured while sending; smoothed, and quick to fall."""

    __slots__ = ("_per_s", "_target_s")

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._per_s = _FIRST / target_s

    def measured(self, batches: int, elapsed_s: float) -> None:
        """A delivery sent so many batches in so many seconds of sending."""
        if batches <= 0 or elapsed_s <= 0.0:
            return
        now_per_s = batches / elapsed_s
        if now_per_s < self._per_s:
            self._per_s = (self._per_s + now_per_s) / 2 if now_per_s > self._per_s / 4 else now_per_s
        elif batches >= self.batches_per_delivery() // 2:
            self._per_s = min(now_per_s, self._per_s * _GROWTH)

    def batches_per_delivery(self) -> int:
        """How many batches fit the target time; at least one."""
        return max(1, int(self._per_s * self._target_s))
