"""What learns of the deliveries of a worker process, beside ingest."""

from dataclasses import dataclass

from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.attempt_spans import AttemptTracer
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.request_spans import RequestSpans


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """The log of deliveries, and what traces them; None if no traces are sent."""

    log: DeliveryLog
    tracer: AttemptTracer | None = None

    def spans(self, ref: DeliveryRef, template: RequestTemplate) -> RequestSpans | None:
        """The spans of the requests of a delivery; None if it is not traced."""
        return None if self.tracer is None else self.tracer.spans(ref, template)
