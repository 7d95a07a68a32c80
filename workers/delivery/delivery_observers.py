"""What learns of the deliveries of a worker process, beside ingest."""

from dataclasses import dataclass

from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.request_observers import RequestObservers
from workers.delivery.request_spans import RequestTracer


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryObservers:
    """The log of deliveries, what traces them, and what counts their attempts; None if that is off."""

    log: DeliveryLog
    tracer: RequestTracer | None = None
    tally: AttemptTally | None = None

    def of(self, ref: DeliveryRef, template: RequestTemplate) -> RequestObservers:
        """What learns of the requests of a delivery; it has no spans if it is not traced."""
        spans = None if self.tracer is None else self.tracer.spans(ref, template)
        return RequestObservers(spans=spans, tally=self.tally)
