"""What learns of the work of the ingest loop, beside the loop itself."""

from dataclasses import dataclass
from typing import Final

from workers.ingest.dispatch.delivery_spans import DeliverySpans
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopObservers:
    """Its metrics, and the spans of its deliveries; `spans` is None if none is traced."""

    metrics: LoopObserver = NOT_OBSERVED
    spans: DeliverySpans | None = None


NO_OBSERVERS: Final = LoopObservers()
