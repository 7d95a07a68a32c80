"""Which subscription may take the next thread of the workers: all of them for one, a fair part when others want some.

pool      is                               a delivery counts in it when                  spare
threads   the threads for first attempts,  it goes to the queue for first attempts       0
          less one in 16
slow      three quarters of those          likewise, and its requests take over 0.5 s    ½
retry     three quarters of the threads    it goes to the queue for retries: it failed,  ½
          for retries                      is new, or was silent for a minute
failing   half of the threads for retries  its last exchange failed                      ½

A subscription takes another thread while its pools have a free one and it holds less than its fair part:
(size - what those hold that want no more) / (those that want more + spare). The spare is kept free for a newcomer. A
pool with a spare is never exceeded; beyond `threads` everybody may have one delivery wait in the queue.

of 16 threads                           hold
one fast subscription                   15
two fast ones                           8 and 7
one fast and one that uses 3            12 and 3
one slow                                8
two slow ones                           5 and 5
two slow ones and a fast one            5, 5 and 5

So the promise holds that nobody waits for another one's endpoint: a thread of a fast endpoint is free again within
0.75 s, slow ones never hold the last quarter, and an endpoint that begins to hang, which makes it slow after 0.5 s,
has not got the last of 16. Below 16 threads none is kept back from fast endpoints.

Where workers take from both queues (`both`), what goes to the queue for retries counts in `threads` as well, and
`retry` is a quarter. Several ingest processes share the threads: each has its equal part, and what it sees unused by
the others. What is kept back waits in its lane, in Kafka, and is looked at again when a thread is free.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from webhookd.flow.batching.lane import Lane
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

RETRYING_LIMIT = 10_000
"""Deliveries that wait for their retry: a worker holds them in memory, up to its ETA limit, which lies above."""

FEWEST = 4
"""However few slots there are, so many deliveries may be in flight."""

KEPT_BACK = 16
"""One thread in so many is kept for those that hold none."""

SLOW_PART, FAILING_PART = 0.75, 0.5
NEWCOMER = 0.5
"""The spare of a pool whose threads are held for long, in fair parts."""

SAMPLES = 8
"""How many counts the mean of our own running deliveries is taken over: two seconds, as old as what workers said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerThreads:
    """The threads of the live workers, by what they take (`both` are in the other two); `ingests` share them."""

    first: int
    retry: int
    both: int = 0
    ingests: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLoad:
    """The slots, and how many of those for each queue are busy."""

    slots: WorkerThreads
    busy_first: int = 0
    busy_retry: int = 0


def load_of(workers: Iterable[WorkerHeartbeat], ingests: int) -> ThreadLoad:
    """The slots of these workers by the queues they take from, and their use; `ingests` processes are alive."""
    alive = list(workers)
    first, retry = ([worker for worker in alive if queue in worker.queues] for queue in (FIRST, RETRY))
    both = [worker for worker in first if worker in retry]
    slots = WorkerThreads(first=_slots(first), retry=_slots(retry), both=_slots(both), ingests=max(1, ingests))
    busy_first, busy_retry = (sum(worker.busy for worker in of) for of in (first, retry))
    return ThreadLoad(slots=slots, busy_first=busy_first, busy_retry=busy_retry)


def _slots(workers: Iterable[WorkerHeartbeat]) -> int:
    return sum(worker.slots for worker in workers)


@dataclass(slots=True)
class ThreadsInUse:
    """The threads that the deliveries of one subscription hold, or are about to, by queue.

    Deliveries that share a task share a thread. `retried` are retries whose time has come, which nobody holds back:
    they are not in `retry`, so that they leave its pool to first attempts. `running` is the part that workers have
    begun.
    """

    first: float = 0.0
    retry: float = 0.0
    retried: float = 0.0
    failing: float = 0.0
    running_first: float = 0.0
    running_retry: float = 0.0


class QueueThreads:
    """Threads that subscriptions share by max-min fairness; without a spare a newcomer may exceed the size."""

    def __init__(self, spare: float = 0.0) -> None:
        self.size = 0.0
        self.total = 0.0
        self._spare = spare
        self._held: dict[str, float] = {}
        self._wanting: set[str] = set()
        self._wanting_hold = 0.0

    def hold(self, id_: str, threads: float) -> None:
        """The subscription holds so many from here on."""
        more = threads - self._held.get(id_, 0.0)
        self.total += more
        if id_ in self._wanting:
            self._wanting_hold += more
        if threads:
            self._held[id_] = threads
        else:
            self._held.pop(id_, None)

    def take(self, id_: str, threads: float) -> None:
        """The subscription holds so many more."""
        self.hold(id_, self._held.get(id_, 0.0) + threads)

    def want(self, id_: str, *, more: bool) -> None:
        """Whether the subscription wants more than it has."""
        if more and id_ not in self._wanting:
            self._wanting.add(id_)
            self._wanting_hold += self._held.get(id_, 0.0)
        elif not more and id_ in self._wanting:
            self._wanting.remove(id_)
            self._wanting_hold -= self._held.get(id_, 0.0)

    def wants(self, id_: str) -> bool:
        """Whether it wanted more when it was last looked at."""
        return id_ in self._wanting

    def allows(self, id_: str) -> bool:
        """Whether the subscription may take one more."""
        own = self._held.get(id_, 0.0)
        if own < 1.0 and not self._spare:
            return True
        return self.total < self.size and own < max(1.0, self._fair_part(id_, own))

    def recount(self) -> None:
        """Add up anew: sums of fractions drift."""
        self.total = sum(self._held.values())
        self._wanting_hold = sum(self._held.get(id_, 0.0) for id_ in self._wanting)

    def _fair_part(self, id_: str, own: float) -> float:
        counted = id_ in self._wanting
        wanting = len(self._wanting) + (not counted)
        others = self.total - self._wanting_hold - (0.0 if counted else own)
        return (self.size - others) / (wanting + self._spare)


class ConcurrencyLimits:
    """The pools of one ingest process; owned by its loop, not thread-safe."""

    def __init__(self, slots: WorkerThreads) -> None:
        self._threads = QueueThreads()
        self._slow, self._retry, self._failing = QueueThreads(NEWCOMER), QueueThreads(NEWCOMER), QueueThreads(NEWCOMER)
        self._pools = (self._threads, self._slow, self._retry, self._failing)
        self._both = False
        self._running: dict[str, ThreadsInUse] = {}
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._full = False
        self.resize(ThreadLoad(slots=slots))

    def resize(self, load: ThreadLoad) -> None:
        """The workers have these threads, of which so many are busy."""
        slots = load.slots
        ours_first, ours_retry = self._mean_running()
        first = _part(slots.first, slots.ingests, load.busy_first - ours_first)
        retry = _part(slots.retry, slots.ingests, load.busy_retry - ours_retry)
        self._both = slots.both > 0
        self._threads.size = max(FEWEST, first - first // KEPT_BACK)
        self._slow.size = SLOW_PART * first if first >= FEWEST else FEWEST
        self._retry.size = max(FEWEST, (1.0 - SLOW_PART if self._both else SLOW_PART) * retry)
        self._failing.size = max(FEWEST, FAILING_PART * slots.retry / slots.ingests)

    def room(self, id_: str, *, slow: bool) -> "SubscriptionLimit":
        """The room of a subscription that was counted and is looked at now."""
        for pool in self._pools:
            pool.want(id_, more=False)
        return SubscriptionLimit(self, id_, slow=slow)

    def hold(self, id_: str, held: ThreadsInUse, *, slow: bool) -> None:
        """The subscription was counted."""
        self._threads.hold(id_, held.first + (held.retry + held.retried if self._both else 0.0))
        self._slow.hold(id_, held.first if slow else 0.0)
        self._retry.hold(id_, held.retry)
        self._failing.hold(id_, held.failing)
        if held.running_first or held.running_retry:
            self._running[id_] = held
        else:
            self._running.pop(id_, None)

    def forget(self, id_: str) -> None:
        """The subscription is not run any more."""
        for pool in self._pools:
            pool.want(id_, more=False)
            pool.hold(id_, 0.0)
        self._running.pop(id_, None)

    def counted(self, retrying: int) -> None:
        """All that hold something were counted anew; so many deliveries wait for their retry."""
        self._full = retrying >= RETRYING_LIMIT
        for pool in self._pools:
            pool.recount()
        running = self._running.values()
        self._samples.append((sum(held.running_first for held in running), sum(held.running_retry for held in running)))

    def admits(self, id_: str) -> bool:
        """Whether one that was refused may get what it wants now."""
        return any(pool.wants(id_) and pool.allows(id_) for pool in self._pools)

    def pools(self, *, proven: bool, failing: bool, slow: bool) -> tuple[QueueThreads, ...]:
        """The pools that such a delivery counts in."""
        if proven:
            return (self._threads, self._slow) if slow else (self._threads,)
        retry = (self._threads, self._retry) if self._both else (self._retry,)
        return (*retry, self._failing) if failing else retry

    @property
    def full(self) -> bool:
        """Whether as many deliveries wait for their retry as workers can hold."""
        return self._full

    def _mean_running(self) -> tuple[float, float]:
        """On the threads for first attempts, and on those for retries, over the last counts."""
        count = max(1, len(self._samples))
        first, retry = (sum(sample[at] for sample in self._samples) / count for at in (0, 1))
        return (first + retry, first + retry) if self._both else (first, retry)


def _part(slots: int, ingests: int, others: float) -> float:
    """Of the threads what one of several ingest processes may use; alone all, whatever else seems busy."""
    return float(slots) if ingests == 1 else max(slots / ingests, slots - max(0.0, others))


@dataclass(slots=True)
class SubscriptionLimit:
    """What one subscription may still dispatch while it is looked at."""

    shares: ConcurrencyLimits
    id: str
    slow: bool
    _refused: set[tuple[bool, bool]] = field(default_factory=set)

    @property
    def refused(self) -> bool:
        """Whether a lane may not dispatch what it has."""
        return bool(self._refused)

    def allows(self, lane: Lane, now: float) -> bool:
        """Whether this lane may dispatch; if not, the subscription wants more than it has."""
        proven, failing = lane.proven(now), lane.failing
        if (proven, failing) in self._refused:  # what was taken meanwhile made it no better
            return False
        refusing = [
            pool
            for pool in self.shares.pools(proven=proven, failing=failing, slow=self.slow)
            if not pool.allows(self.id)
        ]
        for pool in refusing:
            pool.want(self.id, more=True)
        if refusing or (failing and self.shares.full):
            self._refused.add((proven, failing))
            return False
        return True

    def took(self, delivery: Delivery) -> None:
        """The delivery leaves, and holds its part of a thread."""
        proven = delivery.queue == FIRST
        for pool in self.shares.pools(proven=proven, failing=delivery.failing, slow=self.slow):
            pool.take(self.id, delivery.weight)
