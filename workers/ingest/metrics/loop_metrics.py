"""The metrics of the ingest loop: once a second the loop leaves its state here, and Prometheus' thread reads it.

The loop replaces the whole state by another one, so that no thread waits for the other. While the loop is stuck,
Prometheus gets the last state; the lag in seconds grows all the same. Reports are counted as they arrive (by
DeliveryMetrics), records once a second from the counters of the subscriptions. That takes about 10 µs for a
subscription with two lanes, a fifth of what the loop's own checks of the subscription take.
"""

from collections.abc import Collection, Iterator, Mapping
from operator import add

from webhookd.flow.monitoring.lane_states import LaneCounts
from webhookd.flow.monitoring.oldest_records import OldestRecords
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.metrics.catalogue.ingest import (
    BUFFER_BYTES,
    BUFFER_LIMIT_BYTES,
    DELIVERIES_IN_FLIGHT,
    LANES,
    LANES_FOLLOWING,
    RECORDS_WAITING,
    RETRIES_DUE,
)
from webhookd.metrics.samples import Sample
from webhookd.metrics.series_totals import OTHER, SeriesTotals
from webhookd.metrics.subscription_series import SubscriptionSeries
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.consumer.subscription_health import RecordIncrements
from workers.ingest.loop_limits import Clocks
from workers.ingest.metrics.delivery_metrics import DeliveryMetrics
from workers.ingest.metrics.subscription_values import SubscriptionValues, earlier


class LoopMetrics:
    """A LoopObserver; `samples` may be called by any thread, the other methods by the loop's thread only.

    At most `bound` subscriptions have series of their own. The counters of as many that have lost theirs are shown for
    another minute. The buffers may hold `limit_bytes`.
    """

    def __init__(self, clocks: Clocks, *, bound: int, limit_bytes: int) -> None:
        self._clocks = clocks
        self._limit_bytes = limit_bytes
        self._deliveries = DeliveryMetrics(clocks.wall)
        self.reported = self._deliveries.reported
        self.acknowledged = self._deliveries.acknowledged
        self._series = SubscriptionSeries(bound, clocks.monotonic())
        self._totals = SeriesTotals(len(RecordIncrements._fields), bound)
        self._increments: dict[str, RecordIncrements] = {}
        self._oldest = OldestRecords()
        self._state = (SubscriptionValues(self._totals.values()), LaneCounts())

    def stopped(self, consumer: SubscriptionConsumer) -> None:
        """Keep what its counters have counted since the last second: they are gone then."""
        self._take_increments(consumer)

    def checked(self, consumers: Collection[SubscriptionConsumer], not_run: Mapping[str, str]) -> None:
        """Replace the state that `samples` returns."""
        for consumer in consumers:
            self._take_increments(consumer)
        self._divide_increments(consumers, not_run)
        values, counts = SubscriptionValues(self._totals.values()), LaneCounts()
        with_series, now = self._series.ids, self._clocks.monotonic()
        for consumer in consumers:
            id_ = consumer.subscription.id
            oldest_ms = self._count_lanes(consumer, counts, now)
            values.add(id_ if id_ in with_series else OTHER, consumer.health, oldest_ms)
        for id_, reason in not_run.items():
            values.add_not_run(id_ if id_ in with_series else OTHER, reason, DeliveryState.STOPPED)
        self._oldest.next_round()
        self._state = (values, counts)

    def samples(self) -> Iterator[Sample]:
        """Return the samples of the last second."""
        values, counts = self._state
        yield from values.samples(self._clocks.wall())
        yield from self._deliveries.samples()
        for state, lanes in counts.lanes.items():
            yield Sample(LANES, (state,), lanes)
        yield Sample(LANES_FOLLOWING, (), counts.following)
        for stage, deliveries in counts.deliveries.items():
            yield Sample(DELIVERIES_IN_FLIGHT, (stage,), deliveries)
        yield Sample(RETRIES_DUE, (), counts.retries_due)
        yield Sample(RECORDS_WAITING, (), counts.records_waiting)
        yield Sample(BUFFER_BYTES, (), counts.buffered_bytes)
        yield Sample(BUFFER_LIMIT_BYTES, (), self._limit_bytes)

    def _take_increments(self, consumer: SubscriptionConsumer) -> None:
        taken = consumer.counters.take_increments()
        if taken is not None:
            id_ = consumer.subscription.id
            before = self._increments.get(id_)
            self._increments[id_] = taken if before is None else RecordIncrements._make(map(add, before, taken))

    def _divide_increments(self, consumers: Collection[SubscriptionConsumer], not_run: Mapping[str, str]) -> None:
        """Choose who has series of their own, and divide the increments among the series.

        A subscription that loses its series, also one that has stopped, has its last increments in them.
        """
        increments, self._increments = self._increments, {}
        unhealthy = {one.subscription.id for one in consumers if one.health.problems} | not_run.keys()
        present = {one.subscription.id for one in consumers} | not_run.keys()
        read = {id_: numbers.read for id_, numbers in increments.items()}
        now, totals = self._clocks.monotonic(), self._totals
        for id_ in [id_ for id_ in increments if totals.has(id_)]:
            totals.add(id_, increments.pop(id_))
        self._series.update(present, unhealthy, read, now)
        totals.keep(self._series.ids, now)
        for id_, numbers in increments.items():
            totals.add(id_, numbers)

    def _count_lanes(self, consumer: SubscriptionConsumer, counts: LaneCounts, now: float) -> int | None:
        """Count the lanes; returns the timestamp of the oldest record that is not settled."""
        oldest_ms = None
        for lane in consumer.accumulator.lanes.values():
            counts.add(lane, now)
            timestamp_ms = self._oldest.timestamp_ms(lane)
            if timestamp_ms is not None:
                oldest_ms = earlier(oldest_ms, timestamp_ms)
        return oldest_ms
