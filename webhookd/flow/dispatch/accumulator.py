"""A route: one subscription in work, with its lanes; decides which deliveries leave now.

`max_batch_size` and `max_batch_interval_seconds` are promises about the subscription, not about a partition: a lane
that fills batches alone sends them as its own delivery; the leftovers of its free lanes leave as one mixed batch,
when together they fill one or when the oldest of them has waited the interval since it was read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf

from webhookd.flow.batching import webhook_id
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.endpoint_latency import SLOW_REQUEST_S, EndpointLatency
from webhookd.flow.batching.envelope import body
from webhookd.flow.batching.lane import RenderedRecord
from webhookd.flow.batching.message import Matching
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.dispatch.concurrency_limit import SubscriptionLimit, ThreadsInUse
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.offsets.position import Partition
from webhookd.flow.subscription import OnExhausted, Subscription

MAX_BATCHES = 20_000
"""Batches in one delivery; bounds what a killed worker may repeat, and the size of its report to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How large a delivery may grow."""

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
    ) -> None:
        self.subscription = subscription
        self.matchers = matchers
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.endpoint_latency = EndpointLatency()
        self._limits = limits
        self._new_token = new_token
        self._size = subscription.batching.max_batch_size
        self._interval_s = subscription.batching.max_batch_interval_s

    def open_lane(self, partition: Partition) -> Lane:
        """A lane for a partition that was just assigned, under an epoch of its own."""
        lane = Lane(
            self.subscription.id,
            partition,
            epoch=self._new_token(),
            throughput=ThroughputEstimate(self._limits.delivery_target_s),
            endpoint_latency=self.endpoint_latency,
            version=self.subscription.version,
        )
        self.lanes[partition.topic, partition.number] = lane
        return lane

    def close_lane(self, partition: Partition) -> Lane | None:
        """The partition was revoked: nothing more is dispatched or committed for it.

        Its own delivery is forgotten. A mixed one becomes overdue and is given up by the next sweep, not here: the
        other lanes' rewind and the seek in Kafka that belongs to it must not have a poll's records between them.
        """
        lane = self.lanes.pop((partition.topic, partition.number), None)
        if lane is not None and lane.delivery is not None:
            if len(lane.delivery.lanes) == 1:
                lane.rewind(self._new_token())
            else:
                lane.delivery.expire()
        return lane

    def threads_in_use(self, now: float) -> ThreadsInUse:
        """The threads that its deliveries hold; one that has not moved for long says how slow the endpoint is."""
        held = ThreadsInUse()
        for lane in self.lanes.values():
            delivery = lane.delivery
            if delivery is None or not delivery.holds_thread:
                continue
            running = delivery.stage is DeliveryStage.CLAIMED
            if running and now - delivery.last_progress_at > SLOW_REQUEST_S:
                self.endpoint_latency.at_least(now - delivery.last_progress_at)
            weight = delivery.thread_share / len(delivery.lanes)
            if delivery.queue == FIRST:
                held.first += weight
                held.running_first += weight * running
            else:
                if delivery.attempt:
                    held.retried += weight
                else:
                    held.retry += weight
                held.running_retry += weight * running
            held.failing += weight * lane.failing
        return held

    def holding_shared_task(self, now: float) -> Iterator[Delivery]:
        """Those that keep a shared task open for long."""
        for lane in self.lanes.values():
            delivery = lane.delivery
            if delivery is None or not delivery.shared_task or delivery.stage is not DeliveryStage.CLAIMED:
                continue
            if now - delivery.last_progress_at > SLOW_REQUEST_S and delivery.lanes[0] is lane:
                yield delivery

    def ready(self, now: float, room: SubscriptionLimit | None = None) -> list[Delivery]:
        """Every delivery that can leave now and has room; its lanes are occupied from here on."""
        deliveries = []
        leftovers = []
        for lane in self.lanes.values():
            if not lane.can_dispatch or lane.dispatch_not_before > now or not lane.has_work:
                continue
            whole = lane.returned or lane.fills(self._size, self._limits.delivery_bytes)
            if not whole and not lane.failing:
                leftovers.append(lane)
            elif room is None or room.allows(lane, now):
                deliveries.append(_leaving(self._own(lane) if whole else self._mix([lane]), now, room))
        deliveries.extend(self._mixed(leftovers, now, room))
        if room is not None and room.refused:
            self._give_others_a_turn()
        return deliveries

    def due_at(self) -> float | None:
        """When a lane that may dispatch has something to, by itself or with others; None while nothing waits."""
        return min(
            (self._due_at(lane) for lane in self.lanes.values() if lane.can_dispatch and lane.has_work), default=None
        )

    def _due_at(self, lane: Lane) -> float:
        """When its oldest leftover has waited long enough; what came back or is tried again waits for its rest only."""
        at_once = lane.returned or lane.failing
        return max(lane.dispatch_not_before, -inf if at_once else lane.waiting[0].read_at + self._interval_s)

    def _own(self, lane: Lane) -> Delivery:
        """Consecutive batches of one lane, as many as its pace, the byte bound and what is there allow."""
        count = 1 if lane.failing else min(lane.throughput.batches_per_delivery(), MAX_BATCHES)
        batches: list[Batch] = []
        size = 0
        while len(batches) < count and size < self._limits.delivery_bytes:
            if lane.returned:
                batch = lane.returned.popleft()
            elif lane.waiting and (not batches or len(lane.waiting) >= self._size):
                batch = lane.form_batch(self._size, self._limits.delivery_bytes)
            else:
                break
            batches.append(batch)
            size += len(batch.body)
        delivery = self._occupy((lane,), batches)
        delivery.size_bytes = size
        return delivery

    def _give_others_a_turn(self) -> None:
        """Those that are in flight now are looked at last the next time."""
        self.lanes = dict(sorted(self.lanes.items(), key=lambda item: item[1].delivery is not None))

    def _mixed(self, leftovers: list[Lane], now: float, room: SubscriptionLimit | None) -> Iterable[Delivery]:
        leftovers.sort(key=lambda lane: lane.waiting[0].read_at)
        waiting = sum(len(lane.waiting) for lane in leftovers)
        while leftovers:
            overdue = leftovers[0].waiting[0].read_at + self._interval_s <= now
            if waiting < self._size and not overdue:
                return
            if room is not None and not room.allows(leftovers[0], now):
                return
            delivery = self._mix(leftovers)
            waiting -= delivery.batches[0].records
            del leftovers[: len(delivery.lanes)]
            waiting -= sum(len(lane.waiting) for lane in delivery.lanes)
            yield _leaving(delivery, now, room)

    def _mix(self, leftovers: list[Lane]) -> Delivery:
        room, room_bytes = self._size, self._limits.delivery_bytes
        parts: list[tuple[Lane, list[RenderedRecord]]] = []
        for lane in leftovers:
            if room <= 0 or room_bytes <= 0:
                break
            fragments = lane.take_rendered(room, room_bytes)
            size = sum(len(fragment.text) for fragment in fragments)
            lane.buffered_bytes -= size
            room -= len(fragments)
            room_bytes -= size
            parts.append((lane, fragments))
        batch = Batch(
            webhook_id.webhook_id_of_mixed(
                self.subscription.id,
                [(ln.partition.topic, ln.partition.number, [f.offset for f in fragments]) for ln, fragments in parts],
            ),
            self._size - room,
            body(fragment.text for _, fragments in parts for fragment in fragments),
        )
        lanes, shares = tuple(lane for lane, _ in parts), tuple(len(fragments) for _, fragments in parts)
        delivery = self._occupy(lanes, [batch], shares)
        delivery.size_bytes = len(batch.body)
        return delivery

    def _occupy(self, lanes: tuple[Lane, ...], batches: list[Batch], shares: tuple[int, ...] | None = None) -> Delivery:
        delivery = Delivery(
            id=self._new_token(),
            subscription_id=self.subscription.id,
            version=self.subscription.version,
            lanes=lanes,
            batches=batches,
            records_per_lane=shares,
            probe=any(lane.circuit.state is CircuitState.HALF_OPEN for lane in lanes),
            failures=max(lane.failures for lane in lanes),
            dead_letter_when_exhausted=self.subscription.retry.on_exhausted is OnExhausted.DEAD_LETTER,
        )
        for lane in lanes:
            lane.delivery = delivery
        return delivery


def _leaving(delivery: Delivery, now: float, room: SubscriptionLimit | None) -> Delivery:
    """First attempts go to endpoints that answered well lately; the others' threads are those of the retries."""
    delivery.queue = FIRST if all(lane.recently_succeeded(now) for lane in delivery.lanes) else RETRY
    if room is not None and delivery.own_task:
        room.add(delivery)
    return delivery
