"""A delivery as ingest keeps it until it is settled: consecutive batches of one lane, or one mixed batch of several.

stage            waits for                overdue after                          then
QUEUED           a worker's claim         claim_timeout, doubling; sooner if     the same id is published again
                                          it was pushed to a session
CLAIMED          reports                  lease + request deadline               its lanes take a new epoch and rewind
RETRYING         the retry's claim        countdown + claim_timeout + the same   likewise
DEAD_LETTERING   its dead letters' rows   never                                  -

Overdue times of a delivery that a worker has refused for lack of a quota count from the end of its wait. The request
deadline is the subscription's timeout, or the operator's deadline without one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Protocol

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.batching import lane
from webhookd.flow.batching.batch import Batch, encode_batches
from webhookd.flow.dispatch.task_message import DeliveryRef

OWN_TASK_BYTES = 128 * 1024
"""A delivery of this size gets a task of its own, so that another worker can take it."""


class DeliveryStage(Enum):
    """Where a delivery is; see the table above."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    RETRYING = "retrying"
    DEAD_LETTERING = "dead_lettering"


class Pace(Protocol):
    """What a delivery tells the pace of its subscription (dispatch_pace.py)."""

    def reported(self, acknowledged: int, failure: LoggedExchange | None, now: float) -> None:
        """Count acknowledged requests, and slow down if the endpoint asks for it."""

    def take(self, requests: int, records: int, now: float) -> None:
        """Take tokens for requests."""

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Give back the tokens of batches that were not sent."""

    def refused(self, reason: str, until: float) -> None:
        """Note that a worker has refused a delivery until then."""


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """A delivery with its batches. Those that were not sent go back to their lane when it ends.

    All times are monotonic seconds. `timeout_s` is the subscription's timeout of a request; None: the operator's.

    batches       `records_per_lane` says how many records of the single mixed batch each lane has; None for one lane.
                  `first_timestamps_ms` has Kafka's timestamp of the first of them by lane; empty for one lane.
                  `done` counts the batches that are acknowledged, `done_before_attempt` those of earlier attempts
    attempts      `failures` counts attempts of the first batch that failed before this delivery was formed.
                  `early_attempts` counts those that began before their `not_before`
    publication   `publication_number` is its position among the publications to `queue`. `claimable_at` is when a
                  worker could first claim this attempt, `due_at` when the delivery becomes overdue in its stage.
                  `pushed` says that it was pushed to a delivery session, so no task of it is in the queue
    threads       `shared_task` is the number of the task that it shares, 0 for a task of its own. `thread_share` is its
                  part of the thread that runs the task. `last_progress_at` is when a worker claimed it, or when the
                  endpoint last acknowledged a batch
    traces        `read_at` is when ingest read the oldest of its records, infinity if that is not known.
                  `traceparent` is that of its own span, empty if it has none
    pace          `paced` says that its requests may have to wait for one another, `refused` that a worker has not
                  claimed it, because a quota is used up, and will try again at `claimable_at`
    """

    id: str
    subscription_id: str
    version: int
    lanes: "tuple[Lane, ...]"
    batches: list[Batch]
    records_per_lane: tuple[int, ...] | None = None
    first_timestamps_ms: "Mapping[Lane, int]" = field(default_factory=dict)
    timeout_s: float | None = None
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
    pushed: bool = False
    size_bytes: int = 0
    shared_task: int = 0
    thread_share: float = 1.0
    last_progress_at: float = inf
    due_at: float = 0.0
    claimable_at: float = inf
    not_before: float = -inf
    early_attempts: int = 0
    read_at: float = inf
    traceparent: str = ""
    pace: Pace | None = None
    paced: bool = False
    refused: bool = False

    @property
    def current(self) -> bool:
        """Whether its lanes still wait for it; reports of a delivery that is not current are ignored."""
        return all(one.delivery is self for one in self.lanes)

    @property
    def failing(self) -> bool:
        """Whether one of its lanes is failing."""
        return any(one.failing for one in self.lanes)

    def unclaimed_s(self, now: float) -> float:
        """Return for how long no worker has claimed it; negative before a retry is due, 0 in the other stages."""
        return now - self.claimable_at if self.stage in {DeliveryStage.QUEUED, DeliveryStage.RETRYING} else 0.0

    @property
    def own_task(self) -> bool:
        """Whether it gets a task of its own: it is large, or would delay the other deliveries in the task."""
        large = self.paced or self.size_bytes >= OWN_TASK_BYTES
        return large or any(one.send_alone or one.failing for one in self.lanes)

    @property
    def holds_thread(self) -> bool:
        """Whether a worker has claimed it or can claim it now; in the other stages it uses no thread.

        One that workers have refused uses none either: its task waits for a quota, and endpoints of others must not.
        """
        return self.stage is DeliveryStage.CLAIMED or (self.stage is DeliveryStage.QUEUED and not self.refused)

    def expire(self) -> None:
        """Make it overdue, and never publish it again: another process owns one of its lanes."""
        self.stage = DeliveryStage.CLAIMED
        self.due_at = -inf

    def ref(self, reply_to: str) -> DeliveryRef:
        """Return the reference that its task carries; `reply_to` names the ingest process that gets the reports."""
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
            traced=any(one.traced for one in self.lanes),
            traceparent=self.traceparent,
        )

    def payload(self) -> bytes:
        """The batches, as the coordination store holds them."""
        return encode_batches(self.batches)


Lane = lane.Lane[Delivery]
"""A lane that holds deliveries. Only the modules of flow/batching use the generic class."""
