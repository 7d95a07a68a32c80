"""The estimate of how many batches a second an endpoint acknowledges; it decides how many a delivery holds.

Deliveries are sized by time: a fast endpoint gets large ones, a slow one gets single batches. So no delivery holds a
worker thread for long, and a changed configuration takes effect at once.
"""

_FIRST = 8
"""Batches in the first delivery of a lane, before anything was measured: few enough for an endpoint that needs 200 ms a
request, and enough to measure a fast one."""

_GROWTH = 8.0
"""The estimate grows at most by this factor from one delivery to the next, so that one lucky measurement cannot make
the next delivery far too large."""


class ThroughputEstimate:
    """Batches per second of one lane, measured while sending; smoothed, and falls quickly."""

    __slots__ = ("_per_s", "_target_s")

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._per_s = _FIRST / target_s

    def measured(self, batches: int, elapsed_s: float) -> None:
        """Add a measurement: the requests for `batches` took `elapsed_s`."""
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
