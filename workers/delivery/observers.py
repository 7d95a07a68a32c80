"""What learns of the deliveries of a worker process, beside ingest."""

from dataclasses import dataclass

from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.attempt_spans import AttemptTracer
from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.request_observers import RequestObservers


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """The log of deliveries, what counts attempts, and what traces them; None for what is switched off."""

    log: DeliveryLog
    tally: AttemptTally | None = None
    tracer: AttemptTracer | None = None

    def of_requests(self, ref: DeliveryRef, template: RequestTemplate) -> RequestObservers:
        """What the sender of a delivery tells about its requests."""
        spans = None if self.tracer is None else self.tracer.spans(ref, template)
        return RequestObservers(spans=spans, tally=self.tally)
