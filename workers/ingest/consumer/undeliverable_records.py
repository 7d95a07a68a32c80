"""Records of one subscription that cannot be delivered: they are dead-lettered, or their lanes stop before them.

problem                         begins when                                   ends when
records_unreadable              a lane has read 50 undecodable in a row       these lanes have read a decodable record
dead_letters_full               the subscription or its tenant is at a limit  there is space again
dead_letter_topic_unavailable   a copy to the subscription's topic failed     copies succeed again

The first two stop their lanes. The third does not: the dead letters are in the database.
"""

from collections.abc import Callable
from typing import Protocol

from webhookd.clock import Monotonic
from webhookd.flow.batching.undecodable_records import IN_A_ROW
from webhookd.flow.dead_letter import Capacity, DeadLetter
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.settlement.dead_letter_copies import MAX_AGE_S
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.stall_check import DEAD_LETTERS_FULL as FULL
from workers.ingest.consumer.stall_check import StallCheck
from workers.ingest.consumer.subscription_health import SubscriptionHealth
from workers.ingest.ports import DeadLetterSink

UNREADABLE = "records_unreadable"
"""So many records in a row could not be decoded that the cause must be the topic."""

TOPIC_UNAVAILABLE = "dead_letter_topic_unavailable"
"""The Kafka topic for copies of dead letters does not accept them."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    subscription: Subscription
    accumulator: BatchAccumulator
    health: SubscriptionHealth
    stall_check: StallCheck
    status_changed: bool

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem, or give it another detail."""

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""


class UndeliverableRecords:
    """The undeliverable records of one subscription; owned by the ingest loop's thread."""

    def __init__(self, owner: Owner, dead_letters: DeadLetterSink, monotonic: Monotonic) -> None:
        self._owner = owner
        self._dead_letters = dead_letters
        self._monotonic = monotonic
        self._began_at = monotonic()
        if FULL in owner.health.problems:
            dead_letters.request_free_rows(owner.subscription)

    def dead_letter(self, lane: Lane, dead_letters: list[DeadLetter]) -> None:
        """Store dead letters of a lane's records; each record is settled when its row is committed."""
        if not dead_letters:
            return

        def stored() -> None:
            for dead_letter in dead_letters:
                lane.settle_dead_letter(dead_letter)
            self._count(len(dead_letters))

        lane.dead_letters_full = FULL in self._owner.health.problems
        self._write(dead_letters, self._owner.stall_check.track_dead_letters(lane.name, stored))

    def dead_letter_batch(self, exhausted: ExhaustedBatch, stored: Callable[[], None]) -> None:
        """Dead-letter the records of a batch that has no attempt left; `stored` runs when their rows are committed."""
        dead_letters = list(exhausted.dead_letters())

        def counted() -> None:
            self._count(len(dead_letters))
            stored()

        self._write(dead_letters, self._owner.stall_check.track_dead_letters("a batch", counted))

    def set_capacity(self, capacity: Capacity) -> None:
        """Begin or end `dead_letters_full`, by how many more dead letters the database accepts."""
        if capacity.free > 0:
            self._owner.end_problem(FULL)
        else:
            self._owner.begin_problem(FULL, capacity.full(), standing=True)
        for lane in self._owner.accumulator.lanes.values():
            lane.dead_letters_full = capacity.free <= 0 and lane.ledger.dead_letter_count > 0

    def check(self) -> None:
        """Once a second: begin or end the problems of unreadable records and of failing copies."""
        self._check_undecodable_runs()
        failure = self._dead_letters.copy_failure(self._owner.subscription)
        if failure:
            self._owner.begin_problem(TOPIC_UNAVAILABLE, failure, standing=True)
        elif TOPIC_UNAVAILABLE in self._owner.health.problems and (failure is not None or self._no_copy_for_long):
            self._owner.end_problem(TOPIC_UNAVAILABLE)

    @property
    def _no_copy_for_long(self) -> bool:
        """Whether this process runs for so long without a copy that a problem from before its start is out of date."""
        return self._monotonic() - self._began_at > MAX_AGE_S

    def _write(self, dead_letters: list[DeadLetter], stored: Callable[[], None]) -> None:
        self._dead_letters.write(self._owner.subscription, dead_letters, stored)

    def _count(self, records: int) -> None:
        self._owner.health.counters.dead_lettered += records
        self._owner.status_changed = True

    def _check_undecodable_runs(self) -> None:
        lanes = self._owner.accumulator.lanes.values()
        long = [lane for lane in lanes if lane.undecodable_run.too_long]
        if long:
            first = next((lane for lane in long if lane.undecodable_run.detail), None)
            if first is not None or UNREADABLE not in self._owner.health.problems:
                self._owner.begin_problem(UNREADABLE, _detail(first or long[0], len(long)), standing=True)
        elif UNREADABLE in self._owner.health.problems and lanes and all(lane.position_known for lane in lanes):
            self._owner.end_problem(UNREADABLE)


def _detail(lane: Lane, lanes: int) -> str:
    others = f" and {lanes - 1} other partitions" if lanes > 1 else ""
    detail = lane.undecodable_run.detail
    return f"{lane.name}{others}: {IN_A_ROW} or more records in a row could not be read; {detail}".rstrip("; ")
