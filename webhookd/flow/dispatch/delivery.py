"""A delivery as ingest keeps it until it is settled: consecutive batches of one lane, or one mixed batch of several.

stage       waits for                overdue after                          then
QUEUED      a worker's claim         claim_timeout, doubling                the same id is published again
CLAIMED     reports                  lease + request deadline               its lanes take a new epoch and rewind
RETRYING    the retry's claim        countdown + claim_timeout + lease      likewise
BURYING     its dead-letter rows     never                                  -
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

from webhookd.flow.batching import lane
from webhookd.flow.batching.batch import Batch, encode_batches
from webhookd.flow.dispatch.task_message import DeliveryRef

OWN_TASK_BYTES = 128 * 1024
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
    for this attempt, are monotonic; `turn` is its place among the publications to `queue`. `early` counts the attempts
    that began before their `not_before`. `task` numbers the task that it shares, 0 for one of its own, and `weight` is
    its part of the thread that works on that; `moved_at` is when its worker began, or the endpoint last acknowledged a
    batch.
    """

    id: str
    subscription_id: str
    version: int
    lanes: "tuple[Lane, ...]"
    batches: list[Batch]
    records_per_lane: tuple[int, ...] | None = None
    probe: bool = False
    stage: DeliveryStage = DeliveryStage.QUEUED
    attempt: int = 0
    done_before_attempt: int = 0
    done: int = 0
    failures: int = 0
    dead_letter_when_exhausted: bool = False
    publications: int = 0
    queue: str = ""
    publication_number: int = 0
    size_bytes: int = 0
    shared_task: int = 0
    thread_share: float = 1.0
    last_progress_at: float = inf
    due_at: float = 0.0
    claimable_at: float = inf
    not_before: float = -inf
    early_attempts: int = 0

    @property
    def current(self) -> bool:
        """Whether its lanes still wait for it; a delivery of an older epoch is only history."""
        return all(one.delivery is self for one in self.lanes)

    @property
    def failing(self) -> bool:
        """Whether one of its lanes failed last time."""
        return any(one.failing for one in self.lanes)

    def unclaimed_s(self, now: float) -> float:
        """How long a worker has been asked for without one that claims it; negative before a retry is due."""
        return now - self.claimable_at if self.stage in {DeliveryStage.QUEUED, DeliveryStage.RETRYING} else 0.0

    @property
    def own_task(self) -> bool:
        """Whether it gets a task of its own: it is large, or would keep the task of others open."""
        return self.size_bytes >= OWN_TASK_BYTES or any(one.send_alone or one.failing for one in self.lanes)

    @property
    def holds_thread(self) -> bool:
        """Whether a worker has it, or is about to get it; what waits otherwise holds no thread."""
        return self.stage in {DeliveryStage.QUEUED, DeliveryStage.CLAIMED}

    def expire(self) -> None:
        """Let it be overdue, and never published again: one of its lanes is another process' now."""
        self.stage = DeliveryStage.CLAIMED
        self.due_at = -inf

    def ref(self, reply_to: str) -> DeliveryRef:
        """What travels in the task; `reply` names the ingest process' reports."""
        return DeliveryRef(
            id=self.id,
            subscription=self.subscription_id,
            version=self.version,
            lanes={one.name: one.epoch for one in self.lanes},
            attempt=self.attempt,
            records=sum(batch.records for batch in self.batches),
            batches=len(self.batches),
            reply_to=reply_to,
            probe=self.probe,
            failures=self.failures,
        )

    def payload(self) -> bytes:
        """The batches as one blob."""
        return encode_batches(self.batches)


Lane = lane.Lane[Delivery]
"""A lane whose `delivery` is a Delivery: every lane, except inside flow/batching, which does not know deliveries."""
