"""The order in which subscriptions dispatch: round robin, beginning with those that were refused a thread before.

flow/dispatch/concurrency_limit.py decides how many threads each may use. The order decides which of two subscriptions
gets a thread that both may use.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import ConcurrencyLimits, SubscriptionLimit, ThreadLoad, WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.open_sessions import OpenSession, share_thread
from webhookd.flow.dispatch.queue_names import FIRST


class RoundRobin:
    """Dispatches for all subscriptions of this process; owned by the ingest loop, not thread-safe."""

    def __init__(self, threads: WorkerThreads) -> None:
        self._limits = ConcurrencyLimits(threads)
        self._refused: dict[str, BatchAccumulator] = {}
        self._in_flight: dict[str, BatchAccumulator] = {}
        self._tasks = itertools.count(1)

    def resize(self, load: ThreadLoad) -> None:
        """Set the threads of the live workers, how many are busy, and how many ingest processes share them."""
        self._limits.resize(load)

    def remove(self, id_: str) -> None:
        """Forget a subscription that this process does not run any more."""
        self._refused.pop(id_, None)
        self._in_flight.pop(id_, None)
        self._limits.remove(id_)

    def ready(
        self,
        touched: Mapping[str, BatchAccumulator],
        now: float,
        failed: Callable[[str, Exception], None],
        session: OpenSession | None = None,
    ) -> list[Delivery]:
        """Return the deliveries that leave now.

        They are of the touched subscriptions, and of those that were refused a thread and may get one now. Calls
        `failed` for a subscription whose accumulator raised an error. Those that share a task of the queue for first
        attempts are added to the `session` if there is one.
        """
        found: list[tuple[SubscriptionLimit, list[Delivery]]] = []
        for id_, accumulator in touched.items():
            self._count_in_use(id_, accumulator, now)  # before any dispatches: it may use threads of any other
            self._in_flight[id_] = accumulator
        for id_, accumulator in self._in_order(touched):
            try:
                found.append(self._ready_of(id_, accumulator, now))
            except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this subscription only
                failed(id_, error)
        self._share_tasks(found, session, now)
        return [delivery for _, deliveries in found for delivery in deliveries]

    def recount(self, now: float, retrying: int) -> None:
        """Count the threads in use again: deliveries of subscriptions that are not touched may end or become slow.

        `retrying` deliveries wait for their retry.
        """
        slow = [one for accumulator in self._in_flight.values() for one in accumulator.holding_shared_task(now)]
        sharers = Counter(delivery.shared_task for delivery in slow)
        for delivery in slow:  # the other deliveries of their tasks have ended, but the threads are still in use
            delivery.thread_share = 1.0 / sharers[delivery.shared_task]
        for id_, accumulator in list(self._in_flight.items()):
            self._count_in_use(id_, accumulator, now)
            if all(lane.delivery is None for lane in accumulator.lanes.values()):
                del self._in_flight[id_]  # a retry that waits keeps it here: it uses a thread as soon as it is due
        self._limits.recounted(retrying)

    def _count_in_use(self, id_: str, accumulator: BatchAccumulator, now: float) -> None:
        in_use = accumulator.threads_in_use(now)  # may set `slow`, so it comes first
        self._limits.set_in_use(id_, in_use, slow=accumulator.endpoint_latency.slow)

    def _in_order(self, touched: Mapping[str, BatchAccumulator]) -> list[tuple[str, BatchAccumulator]]:
        """Return first the subscriptions that were refused, in the order of their refusals, then the others."""
        refused = [
            (id_, accumulator)
            for id_, accumulator in self._refused.items()
            if id_ in touched or self._limits.may_admit(id_)
        ]
        return [*refused, *((id_, accumulator) for id_, accumulator in touched.items() if id_ not in self._refused)]

    def _ready_of(
        self, id_: str, accumulator: BatchAccumulator, now: float
    ) -> tuple[SubscriptionLimit, list[Delivery]]:
        limit = self._limits.subscription_limit(id_, slow=accumulator.endpoint_latency.slow)
        ready = accumulator.ready(now, limit)
        if ready or not limit.refused:
            self._refused.pop(id_, None)
        if ready:
            self._in_flight[id_] = accumulator
        if limit.refused:
            self._refused[id_] = accumulator  # goes to the end if it got a thread, else keeps its place
        return limit, ready

    def share_task(self, deliveries: Sequence[Delivery]) -> None:
        """Assign these deliveries to one task."""
        share_thread(next(self._tasks), deliveries)

    def share_tasks_again(self, deliveries: Sequence[Delivery]) -> None:
        """Assign deliveries that are published again to one task per queue, or to tasks of their own."""
        together: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            if delivery.own_task:
                share_thread(0, [delivery])
            else:
                together[delivery.queue].append(delivery)
        for sharing in together.values():
            self.share_task(sharing)

    def _share_tasks(
        self, found: Sequence[tuple[SubscriptionLimit, Sequence[Delivery]]], session: OpenSession | None, now: float
    ) -> None:
        """Assign deliveries without a task of their own to one task per queue, with equal parts of its thread."""
        together: defaultdict[str, list[tuple[SubscriptionLimit, Delivery]]] = defaultdict(list)
        for limit, deliveries in found:
            for delivery in deliveries:
                if not delivery.own_task:
                    together[delivery.queue].append((limit, delivery))
        for queue, sharing in together.items():
            deliveries = [delivery for _, delivery in sharing]
            if session is not None and queue == FIRST:
                session.add(deliveries, now)
            else:
                self.share_task(deliveries)
            for limit, delivery in sharing:
                limit.add(delivery)
