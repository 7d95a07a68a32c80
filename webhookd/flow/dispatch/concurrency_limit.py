"""How many worker threads each subscription may use: nearly all if no other wants some, otherwise a fair part.

pool      is                               a delivery counts in it when                  spare
threads   the threads for first attempts,  it goes to the queue for first attempts       0
          less one in 16
slow      three quarters of those          likewise, and its requests take over 0.5 s    ½
retry     three quarters of the threads    it goes to the queue for retries: it failed,  ½
          for retries                      is new, or had no success for a minute
failing   half of the threads for retries  its last request failed                       ½

A subscription may use another thread while each of its pools has a free one and it uses less than its fair part:
(size - threads of those that want no more) / (number of those that want more + spare). The spare stays free for a
subscription that has no thread yet. A pool with a spare is never exceeded; beyond `threads` each subscription may have
one delivery wait in the queue.

of 16 threads                           each uses
one fast subscription                   15
two fast ones                           8 and 7
one fast and one that needs only 3      12 and 3
one slow                                8
two slow ones                           5 and 5
two slow ones and a fast one            5, 5 and 5

So no subscription waits for the endpoint of another one. A thread of a fast endpoint is free again within 0.75 s. Slow
endpoints never use the last quarter of the threads. An endpoint that begins to hang counts as slow after 0.5 s; until
then the reserved thread (one in 16) stays free for others. Below 16 threads none is reserved.

Where workers take from both queues (`both`), deliveries in the queue for retries count in `threads` as well, and
`retry` is a quarter. Several ingest processes share the threads: each may use its equal part, and the threads that the
others leave unused. While no thread is free for a subscription, its records stay in their lanes, or in Kafka.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.dispatch.fair_pool import FairPool
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

RETRYING_LIMIT = 10_000
"""Deliveries that wait for their retry. Workers hold them in memory; their ETA limit must lie above this."""

MIN_IN_FLIGHT = 4
"""The smallest size of a pool: so many deliveries may be in flight even if there are fewer threads."""

RESERVED_ONE_IN = 16
"""One thread in so many is reserved for subscriptions that have none."""

SLOW_PART, FAILING_PART = 0.75, 0.5
NEWCOMER_SPARE = 0.5
"""The spare, in fair parts, of the pools whose deliveries may hold their threads for long."""

SAMPLES = 8
"""The number of running deliveries is averaged over so many counts: two seconds, which is how old the workers' busy
counts may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerThreads:
    """The threads of the live workers by queue; `both` counts those that `first` and `retry` both contain.

    `ingests` is the number of ingest processes that share them.
    """

    first: int
    retry: int
    both: int = 0
    ingests: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLoad:
    """The threads, and how many of those for each queue are busy."""

    threads: WorkerThreads
    busy_first: int = 0
    busy_retry: int = 0


def load_of(workers: Iterable[WorkerHeartbeat], ingests: int) -> ThreadLoad:
    """Return the threads of these workers by queue, and how many are busy; `ingests` ingest processes are alive."""
    alive = list(workers)
    first, retry = ([worker for worker in alive if queue in worker.queues] for queue in (FIRST, RETRY))
    both = [worker for worker in first if worker in retry]
    threads = WorkerThreads(
        first=_threads_of(first), retry=_threads_of(retry), both=_threads_of(both), ingests=max(1, ingests)
    )
    busy_first, busy_retry = (sum(worker.busy for worker in of) for of in (first, retry))
    return ThreadLoad(threads=threads, busy_first=busy_first, busy_retry=busy_retry)


def _threads_of(workers: Iterable[WorkerHeartbeat]) -> int:
    return sum(worker.threads for worker in workers)


@dataclass(slots=True)
class ThreadsInUse:
    """The threads that the deliveries of one subscription use, or are about to use, by queue.

    Deliveries that share a task share a thread. `retried` counts retries that are due: no limit delays them, and they
    do not count in `retry`, so that this pool stays free for first attempts. `running_…` counts what is claimed.
    """

    first: float = 0.0
    retry: float = 0.0
    retried: float = 0.0
    failing: float = 0.0
    running_first: float = 0.0
    running_retry: float = 0.0


class ConcurrencyLimits:
    """The pools of one ingest process; owned by its loop, not thread-safe."""

    def __init__(self, threads: WorkerThreads) -> None:
        self._threads = FairPool()
        self._slow = FairPool(NEWCOMER_SPARE)
        self._retry = FairPool(NEWCOMER_SPARE)
        self._failing = FairPool(NEWCOMER_SPARE)
        self._pools = (self._threads, self._slow, self._retry, self._failing)
        self._both = False
        self._running: dict[str, ThreadsInUse] = {}
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._retries_full = False
        self.resize(ThreadLoad(threads=threads))

    def resize(self, load: ThreadLoad) -> None:
        """Set the sizes of the pools from the workers' threads and how many of these are busy."""
        threads = load.threads
        ours_first, ours_retry = self._mean_running()
        first = _usable(threads.first, threads.ingests, load.busy_first - ours_first)
        retry = _usable(threads.retry, threads.ingests, load.busy_retry - ours_retry)
        self._both = threads.both > 0
        self._threads.size = max(MIN_IN_FLIGHT, first - first // RESERVED_ONE_IN)
        self._slow.size = SLOW_PART * first if first >= MIN_IN_FLIGHT else MIN_IN_FLIGHT
        self._retry.size = max(MIN_IN_FLIGHT, (1.0 - SLOW_PART if self._both else SLOW_PART) * retry)
        self._failing.size = max(MIN_IN_FLIGHT, FAILING_PART * threads.retry / threads.ingests)

    def subscription_limit(self, id_: str, *, slow: bool) -> "SubscriptionLimit":
        """Return the limit of one subscription for this dispatch; call `set_in_use` for the subscription before."""
        for pool in self._pools:
            pool.set_wants_more(id_, more=False)
        return SubscriptionLimit(self, id_, slow=slow)

    def set_in_use(self, id_: str, in_use: ThreadsInUse, *, slow: bool) -> None:
        """Set which threads the subscription uses."""
        self._threads.set_in_use(id_, in_use.first + (in_use.retry + in_use.retried if self._both else 0.0))
        self._slow.set_in_use(id_, in_use.first if slow else 0.0)
        self._retry.set_in_use(id_, in_use.retry)
        self._failing.set_in_use(id_, in_use.failing)
        if in_use.running_first or in_use.running_retry:
            self._running[id_] = in_use
        else:
            self._running.pop(id_, None)

    def remove(self, id_: str) -> None:
        """Forget a subscription that this process does not run any more."""
        for pool in self._pools:
            pool.set_wants_more(id_, more=False)
            pool.set_in_use(id_, 0.0)
        self._running.pop(id_, None)

    def recounted(self, retrying: int) -> None:
        """Complete a count, after `set_in_use` for all that use threads; `retrying` deliveries wait for their retry."""
        self._retries_full = retrying >= RETRYING_LIMIT
        for pool in self._pools:
            pool.recount()
        running = self._running.values()
        self._samples.append((sum(one.running_first for one in running), sum(one.running_retry for one in running)))

    def may_admit(self, id_: str) -> bool:
        """Whether a subscription that was refused a thread may get one now."""
        return any(pool.wants_more(id_) and pool.allows(id_) for pool in self._pools)

    def pools(self, *, succeeded: bool, failing: bool, slow: bool) -> tuple[FairPool, ...]:
        """Return the pools that such a delivery counts in; `succeeded` says that its endpoint succeeded recently."""
        if succeeded:
            return (self._threads, self._slow) if slow else (self._threads,)
        retry = (self._threads, self._retry) if self._both else (self._retry,)
        return (*retry, self._failing) if failing else retry

    @property
    def retries_full(self) -> bool:
        """Whether as many deliveries wait for their retry as workers can hold."""
        return self._retries_full

    def _mean_running(self) -> tuple[float, float]:
        """Return the mean number of deliveries on the threads for first attempts and on those for retries."""
        count = max(1, len(self._samples))
        first, retry = (sum(sample[at] for sample in self._samples) / count for at in (0, 1))
        return (first + retry, first + retry) if self._both else (first, retry)


def _usable(threads: int, ingests: int, others: float) -> float:
    """Return how many threads one ingest process may use while the other ones use `others` of them."""
    return float(threads) if ingests == 1 else max(threads / ingests, threads - max(0.0, others))


@dataclass(slots=True)
class SubscriptionLimit:
    """Decides what one subscription may still dispatch; valid for one dispatch."""

    limits: ConcurrencyLimits
    id: str
    slow: bool
    _refused: set[tuple[bool, bool]] = field(default_factory=set)

    @property
    def refused(self) -> bool:
        """Whether a lane was refused a thread."""
        return bool(self._refused)

    def allows(self, lane: Lane, now: float) -> bool:
        """Whether this lane may dispatch; if not, it is noted that the subscription wants more threads."""
        succeeded, failing = lane.recently_succeeded(now), lane.failing
        if (succeeded, failing) in self._refused:  # within one dispatch no thread becomes free
            return False
        refusing = [
            pool
            for pool in self.limits.pools(succeeded=succeeded, failing=failing, slow=self.slow)
            if not pool.allows(self.id)
        ]
        for pool in refusing:
            pool.set_wants_more(self.id, more=True)
        if refusing or (failing and self.limits.retries_full):
            self._refused.add((succeeded, failing))
            return False
        return True

    def add(self, delivery: Delivery) -> None:
        """Count the share of a thread that a dispatched delivery uses."""
        succeeded = delivery.queue == FIRST
        for pool in self.limits.pools(succeeded=succeeded, failing=delivery.failing, slow=self.slow):
            pool.add(self.id, delivery.thread_share)
