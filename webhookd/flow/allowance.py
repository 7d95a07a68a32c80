"""How many lanes may be in flight, so that no endpoint takes the workers' threads from the others.

    bound                       is                                            because
    lanes of one subscription   a quarter of the slots for first attempts     a slow endpoint has others beside it
    failing deliveries under    half of the slots for retries, over all       those that hang hold a thread for a whole
    way, of all subscriptions   subscriptions                                 deadline; the other half is for whoever is
                                                                              new, silent for long, or recovers
    waiting for their retry     RETRYING_LIMIT                                a worker holds them in memory, up to its
                                                                              ETA limit, which lies above

A *slot* is a thread of a live worker; several ingest processes share them evenly. What a bound keeps back waits in its
lane, in Kafka, and is looked at again at the next sweep.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sys import maxsize

from webhookd.flow.lane import Lane
from webhookd.flow.queues import FIRST, RETRY
from webhookd.flow.worker_state import WorkerState

RETRYING_LIMIT = 10_000
FEWEST = 4
"""However few slots there are, so many lanes may be in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The threads of the live workers, by what they take; `ingests` processes share them."""

    first: int
    retry: int
    ingests: int = 1

    @property
    def of_subscription(self) -> int:
        """How many lanes of one subscription may be in flight."""
        return max(FEWEST, self.first // (4 * self.ingests))

    @property
    def failing(self) -> int:
        """How many failing deliveries may be under way."""
        return max(FEWEST, self.retry // (2 * self.ingests))


def slots_of(workers: Iterable[WorkerState], ingests: int) -> Slots:
    """The slots of these workers by the queues they take from; `ingests` processes are alive."""
    alive = list(workers)
    first, retry = (sum(worker.slots for worker in alive if queue in worker.queues) for queue in (FIRST, RETRY))
    return Slots(first=first, retry=retry, ingests=max(1, ingests))


@dataclass(slots=True)
class Allowance:
    """What may still be dispatched: `lanes` of one subscription, `failing` of all together; counted down."""

    lanes: int = maxsize
    failing: int = maxsize

    def of_subscription(self, occupied: int) -> "Room":
        """The room that one subscription has, so many of whose lanes are occupied."""
        return Room(self, self.lanes - occupied)


@dataclass(slots=True)
class Room:
    """The room of one subscription within an allowance."""

    allowance: Allowance
    lanes: int

    def take(self, lane: Lane) -> bool:
        """Whether this lane may dispatch; if so, one place less is left."""
        if self.lanes <= 0 or (lane.failing and self.allowance.failing <= 0):
            return False
        self.lanes -= 1
        self.allowance.failing -= lane.failing
        return True
