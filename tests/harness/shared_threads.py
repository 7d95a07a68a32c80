"""Ingest processes and one pool of worker threads with a simulated clock: which subscription uses how many threads.

Real: accumulators, deliveries, round robin and the pools. Simulated: the queue (first in, first out), the threads,
which are in use for as long as the endpoint takes, and the workers' heartbeats, once a second.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from tests.harness.lanes import LIMITS, TOPIC, WANTED, about, in_flight_deliveries, records, tokens
from tests.harness.subscriptions import subscription
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import ThreadLoad, WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.round_robin import RoundRobin
from webhookd.flow.offsets.position import Partition
from webhookd.flow.subscription import Batching

COUNT_S, HEARTBEAT_S, SWEEP_S = 0.25, 1.0, 0.05
FOREVER_S = 1e6


@dataclass(slots=True)
class Endpoint:
    """The endpoint of one subscription. Each request takes `request_s`; `succeeded` if it has succeeded just before."""

    name: str
    request_s: float
    lanes: int = 64
    succeeded: bool = True
    waits: list[float] = field(default_factory=list)
    """Of each delivery: how long it was in the queue before a thread took it."""


class Ingest:
    """One ingest process: its accumulators, its deliveries, its part of the threads."""

    def __init__(self, threads: WorkerThreads, number: int) -> None:
        self.round_robin = RoundRobin(threads)
        self.in_flight = in_flight_deliveries()
        self.accumulators: dict[str, BatchAccumulator] = {}
        self.new_token = tokens(f"process-{number}-")
        self.published_at: dict[str, float] = {}

    def add(self, endpoint: Endpoint, now: float) -> None:
        """The process runs a subscription from now on."""
        subscribed = replace(subscription(batching=Batching(max_batch_size=1)), id=endpoint.name)
        accumulator = BatchAccumulator(subscribed, {TOPIC: WANTED}, LIMITS, self.new_token)
        for number in range(endpoint.lanes):
            lane = accumulator.open_lane(Partition(TOPIC, number))
            if endpoint.succeeded:
                lane.endpoint_latency.succeeded_at, lane.send_alone = now, endpoint.request_s > 0.15
                lane.throughput.measured(1, endpoint.request_s)
                lane.endpoint_latency.measured(1, endpoint.request_s)
        self.accumulators[endpoint.name] = accumulator


class Threads:
    """`count` threads that take from both queues, and the ingest processes that fill them."""

    def __init__(self, count: int, ingests: int = 1) -> None:
        self.now = 0.0
        self.count = count
        threads = WorkerThreads(first=count, retry=count, both=count, ingests=ingests)
        self._threads = threads
        self.ingests = [Ingest(threads, number) for number in range(ingests)]
        self.endpoints: dict[str, Endpoint] = {}
        self._ingest_of: dict[str, Ingest] = {}
        self._queue: deque[list[Delivery]] = deque()
        self._open: Counter[str] = Counter()
        """How many threads each subscription uses."""
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._busy = 0
        self._every(COUNT_S, self._count)
        self._every(HEARTBEAT_S, self._report_load)
        self._every(SWEEP_S, self._sweep)

    def add(self, endpoint: Endpoint, ingest: int = 0) -> Endpoint:
        """The subscription of the endpoint begins to run; `fill` adds records."""
        self.endpoints[endpoint.name] = endpoint
        self._ingest_of[endpoint.name] = self.ingests[ingest]
        self.ingests[ingest].add(endpoint, self.now)
        return endpoint

    def fill(self, name: str, each: int = 300, lanes: int | None = None) -> None:
        """`each` records arrive in each of its lanes."""
        accumulator = self._ingest_of[name].accumulators[name]
        for lane in itertools.islice(accumulator.lanes.values(), lanes):
            first = max(0, lane.ledger.position)
            lane.take(records(*range(first, first + each)), WANTED, self.now)
        self._dispatch(self._ingest_of[name], {name})

    def trickle(self, name: str, interval_s: float) -> None:
        """One record every `interval_s` from now on."""
        self._every(interval_s, lambda: self.fill(name, each=1, lanes=1))

    def at(self, at: float, action: Callable[[], None]) -> None:
        """Call `action` at this time."""
        heapq.heappush(self._events, (at, next(self._order), action))

    def run(self, until: float) -> None:
        """Move the clock, and run what is due."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until

    def used(self, name: str) -> int:
        """How many threads a subscription uses."""
        return self._open[name]

    @property
    def waiting(self) -> int:
        """How many tasks wait in the queue."""
        return len(self._queue)

    def mean_used(self, name: str, for_s: float, step_s: float = 0.01) -> float:
        """The mean of `used` over the next seconds."""
        steps = round(for_s / step_s)
        total = 0
        for _ in range(steps):
            self.run(self.now + step_s)
            total += self.used(name)
        return total / steps

    def _every(self, interval_s: float, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self.at(self.now + interval_s, again)

        self.at(self.now + interval_s, again)

    def _count(self) -> None:
        for ingest in self.ingests:
            ingest.round_robin.recount(self.now, ingest.in_flight.retrying)

    def _report_load(self) -> None:
        for ingest in self.ingests:
            ingest.round_robin.resize(ThreadLoad(threads=self._threads, busy_first=self._busy, busy_retry=self._busy))

    def _sweep(self) -> None:
        for ingest in self.ingests:
            due = {
                id_
                for id_, accumulator in ingest.accumulators.items()
                if (at := accumulator.due_at()) is not None and at <= self.now
            }
            self._dispatch(ingest, due)

    def _dispatch(self, ingest: Ingest, ids: set[str]) -> None:
        touched = {id_: accumulator for id_, accumulator in ingest.accumulators.items() if id_ in ids}
        shared: dict[str, list[Delivery]] = {}
        for delivery in ingest.round_robin.ready(touched, self.now, _raise):
            ingest.in_flight.published(delivery, self.now)
            ingest.published_at[delivery.id] = self.now
            if delivery.own_task:
                self._queue.append([delivery])
            else:
                shared.setdefault(delivery.queue, []).append(delivery)
        self._queue.extend(shared.values())
        self._work()

    def _work(self) -> None:
        while self._queue and self._busy < self.count:
            task = self._queue.popleft()
            self._busy += 1
            names = {delivery.subscription_id for delivery in task}
            self._open.update(names)
            for delivery in task:
                self._begin(delivery)
            longest_s = max(self._takes_s(delivery) for delivery in task)
            self.at(self.now + longest_s, partial(self._end_task, names))

    def _takes_s(self, delivery: Delivery) -> float:
        """The time of as many requests as fit the target time, and one more."""
        request_s = self.endpoints[delivery.subscription_id].request_s
        fit = max(1, int(LIMITS.delivery_target_s / request_s) + 1)
        return request_s * min(len(delivery.batches), fit)

    def _begin(self, delivery: Delivery) -> None:
        name = delivery.subscription_id
        ingest, takes_s = self._ingest_of[name], self._takes_s(delivery)
        self.endpoints[name].waits.append(self.now - ingest.published_at.pop(delivery.id))
        ingest.in_flight.apply(about(delivery, ReportKind.STARTED), self.now)
        done = round(takes_s / self.endpoints[name].request_s)
        if takes_s < FOREVER_S:
            self.at(self.now + takes_s, lambda: self._finish(delivery, done, takes_s))

    def _finish(self, delivery: Delivery, done: int, takes_s: float) -> None:
        ingest = self._ingest_of[delivery.subscription_id]
        ingest.in_flight.apply(about(delivery, ReportKind.FINISHED, done, sending_s=takes_s), self.now)
        self._dispatch(ingest, {delivery.subscription_id})

    def _end_task(self, names: set[str]) -> None:
        self._busy -= 1
        self._open.subtract(names)
        self._work()


def _raise(_id: str, error: Exception) -> None:
    raise error
