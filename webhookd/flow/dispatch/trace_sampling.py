"""Which deliveries are traced.

sampler                    the first record has a traceparent   otherwise
parentbased_traceidratio   its sampled flag decides             the ratio decides
traceidratio               the ratio decides                    the ratio decides

The first record stands for all: if any sampled record were enough, nearly every large delivery would be traced. So the
share of the traced deliveries is the share of the sampled records. Its header is read only in deliveries whose lanes
have had a record with one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from webhookd.flow.batching.trace_headers import first_traceparent, is_sampled
from webhookd.flow.dispatch.delivery import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSampling:
    """Decides with `ratio` (0 to 1), and with the records' flags if it is `parent_based`.

    `chance` returns random numbers in [0, 1).
    """

    ratio: float
    parent_based: bool
    chance: Callable[[], float]

    def samples(self, delivery: Delivery) -> bool:
        """Whether to trace a delivery that is about to be published for the first time."""
        if self.parent_based and any(lane.traced for lane in delivery.lanes):
            traceparent = first_traceparent(delivery.batches[0].body)
            if traceparent:
                return is_sampled(traceparent)
        return self.chance() < self.ratio
