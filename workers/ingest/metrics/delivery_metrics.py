"""Counts the reports about deliveries, and measures how long tasks wait and how old records are when they arrive.

Each takes 1 µs or 2. It is done for each report, of which a delivery has two or a few more, and not for each record.
"""

from collections.abc import Iterator
from typing import Final

from webhookd.clock import WallClock
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.batching.envelope import first_timestamp_ms
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.queue_names import QUEUES
from webhookd.metrics.catalogue.ingest import DELIVERIES_REPORTED, RECORD_AGE, TASK_WAIT
from webhookd.metrics.samples import Sample
from webhookd.metrics.tally import CounterTally, HistogramTally

ENDS: Final = frozenset(
    {
        ReportKind.FINISHED,
        ReportKind.RETRY,
        ReportKind.EXHAUSTED,
        ReportKind.GONE,
        ReportKind.DIVISIBLE,
        ReportKind.STALE,
        ReportKind.UNREADABLE,
        ReportKind.UNUSABLE,
    }
)
"""The kinds of reports that end an attempt."""


class DeliveryMetrics:
    """`samples` may be called by any thread, the other methods by the ingest loop's thread only."""

    def __init__(self, wall_clock: WallClock) -> None:
        self._wall_clock = wall_clock
        self._ends = CounterTally(DELIVERIES_REPORTED)
        for kind in ENDS:
            self._ends.add(kind.code, 0)  # otherwise Prometheus would not see the first one as an increase
        self._age = HistogramTally(RECORD_AGE)
        self._waits = {queue: HistogramTally(TASK_WAIT, queue) for queue in QUEUES.values()}

    def reported(self, delivery: Delivery, report: Report, now: float) -> None:
        """Count a report that is about to be applied, unless it is a second copy, or nobody waits for it any more."""
        if report.attempt != delivery.attempt or not delivery.current:
            return
        stage = delivery.stage
        unclaimed = stage is DeliveryStage.QUEUED or stage is DeliveryStage.RETRYING
        if unclaimed and report.kind is not ReportKind.WAITING:
            self._waits[delivery.queue].observe(max(0.0, now - delivery.claimable_at))
        if report.kind in ENDS and stage is not DeliveryStage.DEAD_LETTERING:
            self._ends.add(report.kind.code)

    def acknowledged(self, delivery: Delivery) -> None:
        """Measure the age of the first record of a delivery, whose first batch was just acknowledged."""
        timestamp_ms = first_timestamp_ms(delivery.batches[0].body)
        if timestamp_ms > 0:  # Kafka has -1 for a record without a timestamp
            self._age.observe(max(0.0, self._wall_clock() - timestamp_ms / 1000))

    def samples(self) -> Iterator[Sample]:
        """Return the values so far."""
        yield from self._ends.samples()
        yield from self._age.samples()
        for waits in self._waits.values():
            yield from waits.samples()
