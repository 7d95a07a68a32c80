"""What learns of the deliveries of a worker process, beside ingest."""

from dataclasses import dataclass

from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.delivery_log import DeliveryLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """The log of deliveries, and what counts attempts; None if none are counted."""

    log: DeliveryLog
    tally: AttemptTally | None = None
