"""The batch accumulator of one subscription: it holds the lanes, and decides which deliveries leave now.

`max_batch_size` and `max_batch_interval_seconds` hold for the subscription, not for each partition. A lane with full
batches sends them as a delivery of its own. The leftovers of the other lanes leave as one mixed batch, when together
they fill one, or when the oldest of them has waited the interval since it was read.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from webhookd.flow.batching import webhook_id
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.batch_bound import BatchBound
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.endpoint_latency import SLOW_REQUEST_S, EndpointLatency
from webhookd.flow.batching.envelope import body, first_timestamp_ms, overhead_bytes, room_bytes
from webhookd.flow.batching.message import Matching
from webhookd.flow.batching.rendered_record import RenderedRecord
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.dispatch.concurrency_limit import SubscriptionLimit, ThreadsInUse
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.dispatch.dispatch_pace import MAX_BATCHES, DispatchPace, Room
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.offsets.position import Partition
from webhookd.flow.subscription import OnExhausted, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How large a delivery may become."""

    delivery_bytes: int
    delivery_target_s: float


class BatchAccumulator:
    """The lanes of one subscription; owned by the ingest loop, not thread-safe."""

    def __init__(
        self,
        subscription: Subscription,
        matchers: Mapping[str, Matching],
        limits: DeliveryLimits,
        new_token: Callable[[], str],
        pace: DispatchPace | None = None,
    ) -> None:
        self.pace = pace or DispatchPace()
        self.subscription = subscription
        self.matchers = matchers
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.endpoint_latency = EndpointLatency()
        self._held_back = False
        self._unverified = subscription.destination.unverified
        self._limits = limits
        self._new_token = new_token
        self._size = subscription.batching.max_batch_size
        self._interval_s = subscription.batching.max_batch_interval_s
        self.bound = BatchBound(min(subscription.batching.max_batch_bytes or sys.maxsize, limits.delivery_bytes))

    def open_lane(self, partition: Partition) -> Lane:
        """A lane, with an epoch of its own, for a partition that was just assigned."""
        lane = Lane(
            self.subscription.id,
            partition,
            epoch=self._new_token(),
            throughput=ThroughputEstimate(self._limits.delivery_target_s),
            endpoint_latency=self.endpoint_latency,
            bound=self.bound,
            version=self.subscription.version,
        )
        self.lanes[partition.topic, partition.number] = lane
        return lane

    def close_lane(self, partition: Partition) -> Lane | None:
        """Remove the lane of a revoked partition: nothing more is dispatched or committed for it.

        A delivery of this lane alone is forgotten. A mixed delivery only becomes overdue here; the next sweep ends it
        and rewinds its other lanes. No polled message may be taken between the rewind of a lane and its seek.
        """
        lane = self.lanes.pop((partition.topic, partition.number), None)
        if lane is not None and lane.delivery is not None:
            if len(lane.delivery.lanes) == 1:
                lane.rewind(self._new_token())
            else:
                lane.delivery.expire()
        return lane

    def threads_in_use(self, now: float) -> ThreadsInUse:
        """Return the threads that its deliveries use; deliveries without progress raise the measured latency."""
        in_use = ThreadsInUse()
        for lane in self.lanes.values():
            delivery = lane.delivery
            if delivery is None or not delivery.holds_thread:
                continue
            running = delivery.stage is DeliveryStage.CLAIMED
            if running and now - delivery.last_progress_at > SLOW_REQUEST_S:
                self.endpoint_latency.at_least(now - delivery.last_progress_at)
            share = delivery.thread_share / len(delivery.lanes)
            if delivery.queue == FIRST:
                in_use.first += share
                in_use.running_first += share * running
            else:
                if delivery.attempt:
                    in_use.retried += share
                else:
                    in_use.retry += share
                in_use.running_retry += share * running
            in_use.failing += share * lane.failing
        return in_use

    def holding_shared_task(self, now: float) -> Iterator[Delivery]:
        """The deliveries that keep a shared task, and so its thread, busy for long."""
        for lane in self.lanes.values():
            delivery = lane.delivery
            if delivery is None or not delivery.shared_task or delivery.stage is not DeliveryStage.CLAIMED:
                continue
            if now - delivery.last_progress_at > SLOW_REQUEST_S and delivery.lanes[0] is lane:
                yield delivery

    def ready(self, now: float, limit: SubscriptionLimit | None = None) -> list[Delivery]:
        """Form and return every delivery that can leave now within the limit; it is then in flight in its lanes.

        None leaves before the endpoint has shown that it wants the requests: then another version is run.
        """
        if self._unverified:
            return []
        deliveries = []
        leftovers = []
        groups: defaultdict[str, list[Lane]] = defaultdict(list)
        self.bound.grow_if_due(now)
        room = self.pace.room(self._in_flight_now(), now)
        for lane in self.lanes.values():
            if not lane.can_dispatch or lane.dispatch_not_before > now or not lane.has_work:
                continue
            full = lane.returned or lane.fills(self._size, self.bound.size_bytes)
            if lane.group:
                groups[lane.group.name].append(lane)
            elif not full and not lane.failing:
                leftovers.append(lane)
            elif self._may_leave([lane], now, limit, room):
                delivery = self._delivery_of(lane, room) if full else self._mixed_delivery([lane])
                deliveries.append(_queued(delivery, now, limit, room))
        deliveries.extend(
            _queued(self._group_delivery(lanes), now, limit, room)
            for lanes in groups.values()
            if self._may_leave(lanes, now, limit, room)
        )
        deliveries.extend(self._mixed_deliveries(leftovers, now, limit, room))
        self._held_back = room is not None and room.refused
        if self._held_back or (limit is not None and limit.refused):
            self._move_busy_lanes_last()
        return deliveries

    def _in_flight_now(self) -> Iterator[Delivery]:
        """The deliveries in flight, each once."""
        for lane in self.lanes.values():
            if lane.delivery is not None and lane.delivery.lanes[0] is lane:
                yield lane.delivery

    def _first_records(self, lanes: Sequence[Lane]) -> int:
        """How many records the first batch of a delivery of these lanes has."""
        grouped = sum(lane.group.records for lane in lanes if lane.group)
        returned = next((lane.returned[0].records for lane in lanes if lane.returned), 0)
        return grouped or returned or min(self._size, sum(len(lane.waiting) for lane in lanes))

    def _may_leave(self, lanes: Sequence[Lane], now: float, limit: SubscriptionLimit | None, room: Room | None) -> bool:
        """Whether a delivery of these lanes has room within the limits of the requests, and a thread."""
        within = room is None or room.admits(self._first_records(lanes))
        return within and (limit is None or limit.allows(lanes[0], now))

    def due_at(self) -> float | None:
        """When the next delivery can leave; None while nothing waits or no lane may dispatch."""
        if self._unverified:
            return None
        due = min(
            (self._due_at(lane) for lane in self.lanes.values() if lane.can_dispatch and lane.has_work), default=None
        )
        return max(due, self.pace.opens_at) if due is not None and self._held_back else due

    def _due_at(self, lane: Lane) -> float:
        """When its oldest leftover has waited the interval; batches that were returned or failed do not wait for it.

        Nor does a lane that was held back: it may be full.
        """
        at_once = lane.returned or lane.failing or lane.group is not None or self._held_back
        return max(lane.dispatch_not_before, -inf if at_once else lane.waiting[0].read_at + self._interval_s)

    def _delivery_of(self, lane: Lane, room: Room | None = None) -> Delivery:
        """Consecutive batches of one lane: as many as throughput, pace, byte bound and records allow."""
        count = 1 if lane.failing else min(lane.throughput.batches_per_delivery(), lane.parts or MAX_BATCHES)
        lane.parts = 0
        if room is not None:
            count = min(count, room.batches(self._first_records([lane])))
        batches: list[Batch] = []
        size, batch_bytes, waiting = 0, self.bound.size_bytes, lane.waiting
        read_at = waiting[0].read_at if waiting and not lane.returned else inf
        while len(batches) < count and size < self._limits.delivery_bytes:
            if lane.returned:
                batch = lane.take_returned(batch_bytes)
            elif len(waiting) >= self._size or (waiting and (not batches or lane.fills(self._size, batch_bytes, size))):
                batch = lane.form_batch(self._size, batch_bytes)
            else:
                break
            batches.append(batch)
            size += len(batch.body)
        delivery = self._in_flight((lane,), batches)
        delivery.size_bytes, delivery.read_at = size, read_at
        return delivery

    def _move_busy_lanes_last(self) -> None:
        """Put lanes with a delivery in flight behind the others, which get a thread first the next time."""
        self.lanes = dict(sorted(self.lanes.items(), key=lambda item: item[1].delivery is not None))

    def _mixed_deliveries(
        self, leftovers: list[Lane], now: float, limit: SubscriptionLimit | None, room: Room | None
    ) -> Iterable[Delivery]:
        leftovers.sort(key=lambda lane: lane.waiting[0].read_at)
        waiting, size = _waiting_in(leftovers)
        while leftovers:
            overdue = leftovers[0].waiting[0].read_at + self._interval_s <= now
            full = waiting >= self._size or size + overhead_bytes(waiting) >= self.bound.size_bytes
            if not overdue and not full:
                return
            if not self._may_leave(leftovers, now, limit, room):
                return
            delivery = self._mixed_delivery(leftovers)
            (batch,) = delivery.batches
            left, left_size = _waiting_in(delivery.lanes)
            waiting -= batch.records + left
            size -= len(batch.body) - overhead_bytes(batch.records) + left_size
            del leftovers[: len(delivery.lanes)]
            yield _queued(delivery, now, limit, room)

    def _mixed_delivery(self, leftovers: list[Lane]) -> Delivery:
        """Form one batch of the waiting records of these lanes, in their order, until it is full."""
        free, room = self._size, room_bytes(self.bound.size_bytes)
        parts: list[tuple[Lane, list[RenderedRecord]]] = []
        for lane in leftovers:
            records = lane.take_rendered(free, room, least=0 if parts else 1) if free > 0 else []
            if not records:
                break
            free -= len(records)
            room -= sum(len(record.text) + 1 for record in records)
            parts.append((lane, records))
        return self._delivery_of_parts(parts)

    def _group_delivery(self, lanes: list[Lane]) -> Delivery:
        """Form one batch of the records of a group: a part of a batch that was refused."""
        parts = [(lane, lane.take_rendered(lane.group.records, sys.maxsize)) for lane in lanes if lane.group]
        for lane in lanes:
            lane.group = None
        return self._delivery_of_parts(parts)

    def _delivery_of_parts(self, parts: Sequence[tuple[Lane, list[RenderedRecord]]]) -> Delivery:
        """Form one batch of records that were taken from several lanes."""
        for lane, records in parts:
            lane.buffered_bytes -= sum(len(record.text) for record in records)
        batch = Batch(
            webhook_id.webhook_id_of_mixed(
                self.subscription.id,
                [(ln.partition.topic, ln.partition.number, [r.offset for r in records]) for ln, records in parts],
            ),
            sum(len(records) for _, records in parts),
            body(record.text for _, records in parts for record in records),
        )
        records_per_lane = tuple(len(records) for _, records in parts)
        delivery = self._in_flight(tuple(lane for lane, _ in parts), [batch], records_per_lane)
        delivery.first_timestamps_ms = {lane: first_timestamp_ms(records[0].text) for lane, records in parts}
        delivery.size_bytes = len(batch.body)
        delivery.read_at = min(records[0].read_at for _, records in parts)
        return delivery

    def _in_flight(
        self, lanes: tuple[Lane, ...], batches: list[Batch], records_per_lane: tuple[int, ...] | None = None
    ) -> Delivery:
        """Make a delivery of these batches and set it in flight in its lanes."""
        delivery = Delivery(
            id=self._new_token(),
            subscription_id=self.subscription.id,
            version=self.subscription.version,
            lanes=lanes,
            batches=batches,
            records_per_lane=records_per_lane,
            timeout_s=self.subscription.limits.timeout_s,
            probe=any(lane.circuit.state is CircuitState.HALF_OPEN for lane in lanes),
            failures=max(lane.failures + lane.circuit.failed_probes for lane in lanes),
            dead_letter_when_exhausted=self.subscription.retry.on_exhausted is OnExhausted.DEAD_LETTER,
            pace=self.pace,
        )
        for lane in lanes:
            lane.delivery = delivery
        return delivery


def _waiting_in(lanes: Collection[Lane]) -> tuple[int, int]:
    """The number of the records that wait in these lanes, none of which has returned batches, and their bytes."""
    return sum(len(lane.waiting) for lane in lanes), sum(lane.buffered_bytes for lane in lanes)


def _queued(delivery: Delivery, now: float, limit: SubscriptionLimit | None, room: Room | None) -> Delivery:
    """Set the queue: that for first attempts if all lanes of the delivery succeeded recently, else that for retries."""
    if room is not None:
        room.take(delivery)
        delivery.paced = len(delivery.batches) > 1
    delivery.queue = FIRST if all(lane.recently_succeeded(now) for lane in delivery.lanes) else RETRY
    if limit is not None and delivery.own_task:
        limit.add(delivery)
    return delivery
