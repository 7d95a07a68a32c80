"""A delivery as ingest keeps it until it is settled: consecutive batches of one lane, or one mixed batch of several.

stage       waits for                overdue after                          then
QUEUED      a worker's claim         claim_timeout, doubling                the same id is published again
CLAIMED     reports                  lease + request deadline               its lanes take a new epoch and rewind
RETRYING    the retry's claim        countdown + claim_timeout + lease      likewise
BURYING     its dead-letter rows     never                                  -
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf

from webhookd.flow.batching.batch import Batch, encode_batches
from webhookd.flow.batching.lane import Lane
from webhookd.flow.dispatch.task_message import DeliveryRef

ALONE_BYTES = 128 * 1024
"""A delivery this large gets a task of its own, which another worker can take."""


class DeliveryStage(Enum):
    """Where a delivery is; each stage has its own idea of overdue."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    RETRYING = "retrying"
    DEAD_LETTERING = "dead_lettering"


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """The batches stay here until they are acknowledged, so that an undelivered tail can go back to its lane.

    `shares` says how many records of the single mixed batch each lane has; None for a delivery of one lane.
    `base` counts the batches that earlier attempts got acknowledged, `done` all of them. `failures` counts attempts of
    the first batch that failed before this delivery was made. `due_at` and `asked_at`, when a worker was first asked
    for this attempt, are monotonic; `queue_position` numbers its publication among those to `queue`. `early` counts the
    attempts that began before their `not_before`. `task` numbers the task that it shares, 0 for one of its own, and
    `weight` is its part of the thread that works on that; `moved_at` is when its worker began, or the endpoint last
    acknowledged a batch.
    """

    id: str
    subscription_id: str
    version: int
    lanes: tuple[Lane, ...]
    batches: list[Batch]
    shares: tuple[int, ...] | None = None
    probe: bool = False
    stage: DeliveryStage = DeliveryStage.QUEUED
    attempt: int = 0
    base: int = 0
    done: int = 0
    failures: int = 0
    dead_letters: bool = False
    publications: int = 0
    queue: str = ""
    queue_position: int = 0
    size_bytes: int = 0
    task: int = 0
    weight: float = 1.0
    moved_at: float = inf
    due_at: float = 0.0
    asked_at: float = inf
    not_before: float = -inf
    early: int = 0

    @property
    def current(self) -> bool:
        """Whether its lanes still wait for it; a delivery of an older epoch is only history."""
        return all(lane.delivery is self for lane in self.lanes)

    @property
    def failing(self) -> bool:
        """Whether one of its lanes failed last time."""
        return any(lane.failing for lane in self.lanes)

    def unclaimed_s(self, now: float) -> float:
        """How long a worker has been asked for without one that claims it; negative before a retry is due."""
        return now - self.asked_at if self.stage in {DeliveryStage.QUEUED, DeliveryStage.RETRYING} else 0.0

    @property
    def alone(self) -> bool:
        """Whether it gets a task of its own: it is large, or would keep the task of others open."""
        return self.size_bytes >= ALONE_BYTES or any(lane.alone or lane.failing for lane in self.lanes)

    @property
    def under_way(self) -> bool:
        """Whether a worker has it, or is about to get it; what waits otherwise holds no thread."""
        return self.stage in {DeliveryStage.QUEUED, DeliveryStage.CLAIMED}

    def expire(self) -> None:
        """Let it be overdue, and never published again: one of its lanes is another process' now."""
        self.stage = DeliveryStage.CLAIMED
        self.due_at = -inf

    def ref(self, reply: str) -> DeliveryRef:
        """What travels in the task; `reply` names the ingest process' reports."""
        return DeliveryRef(
            id=self.id,
            subscription=self.subscription_id,
            version=self.version,
            lanes={lane.key: lane.epoch for lane in self.lanes},
            attempt=self.attempt,
            records=sum(batch.records for batch in self.batches),
            batches=len(self.batches),
            reply=reply,
            probe=self.probe,
            failures=self.failures,
        )

    def payload(self) -> bytes:
        """The batches as one blob."""
        return encode_batches(self.batches)


def take_back(lane: Lane, batches: Sequence[Batch]) -> None:
    """An undelivered tail returns to its lane, uncut and ahead of everything that came later."""
    lane.returned.extendleft(reversed(batches))
