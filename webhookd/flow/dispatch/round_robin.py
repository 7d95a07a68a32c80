"""Who dispatches next: subscriptions in turn, those that were refused a thread before those that just became ready.

Equal parts are a matter of counts (flow/dispatch/concurrency_limit.py); the turn decides who gets a thread that is
free for two.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import ConcurrencyLimits, SubscriptionLimit, ThreadLoad, WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery


class RoundRobin:
    """Owned by the ingest loop, not thread-safe."""

    def __init__(self, threads: WorkerThreads) -> None:
        self._limits = ConcurrencyLimits(threads)
        self._refused: dict[str, BatchAccumulator] = {}
        self._holding: dict[str, BatchAccumulator] = {}
        self._tasks = itertools.count(1)

    def resize(self, load: ThreadLoad) -> None:
        """The threads of the live workers, how many are busy, and among how many ingest processes they are shared."""
        self._limits.resize(load)

    def remove(self, id_: str) -> None:
        """The subscription is not run any more."""
        self._refused.pop(id_, None)
        self._holding.pop(id_, None)
        self._limits.remove(id_)

    def ready(
        self, touched: Mapping[str, BatchAccumulator], now: float, failed: Callable[[str, Exception], None]
    ) -> list[Delivery]:
        """What leaves now, of those that are touched and of those that were refused and may get more.

        `failed` hears of a subscription whose readiness cannot be told.
        """
        found: list[tuple[SubscriptionLimit, list[Delivery]]] = []
        for id_, accumulator in touched.items():
            self._count_in_use(
                id_, accumulator, now
            )  # first: what one of them has given back is for whoever's turn it is
            self._holding[id_] = accumulator
        for id_, accumulator in self._in_turn(touched):
            try:
                found.append(self._ready_of(id_, accumulator, now))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
                failed(id_, error)
        self._share_tasks(found)
        return [delivery for _, deliveries in found for delivery in deliveries]

    def recount(self, now: float, retrying: int) -> None:
        """Count what is under way: also what ended, or became slow, without its subscription being touched."""
        lingering = [
            delivery for accumulator in self._holding.values() for delivery in accumulator.holding_shared_task(now)
        ]
        sharers = Counter(delivery.shared_task for delivery in lingering)
        for delivery in lingering:
            delivery.thread_share = (
                1.0 / sharers[delivery.shared_task]
            )  # the others have ended, and the thread is still held
        for id_, accumulator in list(self._holding.items()):
            self._count_in_use(id_, accumulator, now)
            if all(lane.delivery is None for lane in accumulator.lanes.values()):
                del self._holding[id_]  # a retry that waits holds no thread, and takes one when its time has come
        self._limits.recounted(retrying)

    def _count_in_use(self, id_: str, accumulator: BatchAccumulator, now: float) -> None:
        held = accumulator.threads_in_use(now)  # before it says whether it is slow: it may find that out
        self._limits.set_in_use(id_, held, slow=accumulator.endpoint_latency.slow)

    def _in_turn(self, touched: Mapping[str, BatchAccumulator]) -> list[tuple[str, BatchAccumulator]]:
        """The longest refused first, then the rest."""
        refused = [
            (id_, accumulator)
            for id_, accumulator in self._refused.items()
            if id_ in touched or self._limits.may_admit(id_)
        ]
        return [*refused, *((id_, accumulator) for id_, accumulator in touched.items() if id_ not in self._refused)]

    def _ready_of(
        self, id_: str, accumulator: BatchAccumulator, now: float
    ) -> tuple[SubscriptionLimit, list[Delivery]]:
        room = self._limits.subscription_limit(id_, slow=accumulator.endpoint_latency.slow)
        ready = accumulator.ready(now, room)
        if ready or not room.refused:
            self._refused.pop(id_, None)
        if ready:
            self._holding[id_] = accumulator
        if room.refused:
            self._refused[id_] = accumulator  # behind the others, unless it got nothing
        return room, ready

    def _share_tasks(self, found: Sequence[tuple[SubscriptionLimit, Sequence[Delivery]]]) -> None:
        """Deliveries that share a task hold equal parts of its thread."""
        together: defaultdict[str, list[tuple[SubscriptionLimit, Delivery]]] = defaultdict(list)
        for room, deliveries in found:
            for delivery in deliveries:
                if not delivery.own_task:
                    together[delivery.queue].append((room, delivery))
        for sharing in together.values():
            task = next(self._tasks)
            for room, delivery in sharing:
                delivery.shared_task, delivery.thread_share = task, 1.0 / len(sharing)
                room.add(delivery)
