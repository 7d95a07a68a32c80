"""Once a second, over one subscription: what its deliveries do now, and what has stood still for too long.

A standstill (flow/monitoring/subscription_stall.py) that lasts becomes a problem of its subscription, and is over when
it is not found any more. What only callbacks tell (dead letters, stale deliveries) is noted here in between.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from typing import Protocol

from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.monitoring.subscription_stall import (
    DEAD_LETTERS_WAITING,
    DELIVERIES_STALE,
    DELIVERIES_UNCLAIMED,
    NOT_ASSIGNED,
    POSITION_UNKNOWN,
    RESUMED_PROBLEM_KEPT_S,
    Stall,
    StallDetector,
)
from webhookd.flow.offsets.position import Partition
from workers.ingest.consumer.subscription_health import CONSUMER_FAILED, SubscriptionHealth
from workers.ingest.ports import Services

DEAD_LETTERS_FULL = "dead_letters_full"
"""No more dead letters of the subscription are stored until some are deleted."""

READING_RECOVERED_S = 60.0

UNCLAIMED_S = 10.0
"""Deliveries that are claimed sooner, as nearly all are, need not be remembered."""


class Owner(Protocol):
    """The intake that is looked at."""

    health: SubscriptionHealth
    status_changed: bool

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem began."""

    def end_problem(self, code: str) -> None:
        """The standing problem with this code is over."""


class StallCheck:
    """Owned by the ingest loop's thread."""

    def __init__(self, owner: Owner, services: Services, *, max_retries: int) -> None:
        self._owner = owner
        self._services = services
        self._max_attempts = max_retries + 1
        self._began_at = services.monotonic()
        self._stalls = StallDetector()
        self._begun: set[str] = set()
        self._dead_letters: dict[int, str] = {}
        self._order = count()
        self._unknown_positions: dict[Partition, str] = {}
        self._last_was_stale = False
        self._readable_since: float | None = None

    def delivery_ended(self, kind: ReportKind) -> None:
        """A worker said how a delivery ended, or how far it is."""
        if kind not in {ReportKind.STARTED, ReportKind.PROGRESS}:
            self._last_was_stale = kind is ReportKind.STALE

    def positions_looked_up(self, partitions: Collection[Partition], error: str = "") -> None:
        """Kafka was asked for these positions: it answered, or why it did not."""
        for partition in partitions:
            if error:
                self._unknown_positions[partition] = error
            else:
                self._unknown_positions.pop(partition, None)

    def track_dead_letters(self, subject: str, stored: Callable[[], None]) -> Callable[[], None]:
        """Dead letters of `subject` are on their way; returns what is to be called instead of `stored`."""
        number = next(self._order)
        self._dead_letters[number] = subject

        def written() -> None:
            self._dead_letters.pop(number, None)
            stored()

        return written

    def check(self, lanes: Collection[Lane]) -> None:
        """Compare with the last time, and tell what is news."""
        owner, now, wall = self._owner, self._services.monotonic(), self._services.wall_clock()
        owner.status_changed |= owner.health.update_delivery_status(lanes, self._max_attempts, monotonic=now, wall=wall)
        if owner.health.failing_too_long(lanes, wall):
            owner.begin_problem(owner.health.last_code)
        for code, detail in self._stalls.check(self._find_stalls(lanes, now), now).items():
            if detail is not None:
                self._begun.add(code)
                owner.begin_problem(code, detail, standing=True)
            elif code in owner.health.problems and self._may_end(code, now):
                owner.end_problem(code)
        self._check_reading(lanes, now)

    def _may_end(self, code: str, now: float) -> bool:
        """A problem from before the start stands until its cause would have been found again."""
        return code in self._begun or now - self._began_at >= RESUMED_PROBLEM_KEPT_S[code]

    def _check_reading(self, lanes: Collection[Lane], now: float) -> None:
        readable = bool(lanes) and all(lane.position_known and not lane.seek_due for lane in lanes)
        if not readable:
            self._readable_since = None
            return
        self._readable_since = now if self._readable_since is None else self._readable_since
        if now - self._readable_since >= READING_RECOVERED_S and CONSUMER_FAILED in self._owner.health.problems:
            self._owner.end_problem(CONSUMER_FAILED)

    def _find_stalls(self, lanes: Collection[Lane], now: float) -> Iterator[Stall]:
        for lane in lanes:
            if not lane.position_known or lane.seek_due or lane.partition in self._unknown_positions:
                yield Stall(POSITION_UNKNOWN, lane.name, self._unknown_positions.get(lane.partition, ""))
            if lane.delivery is not None and lane.delivery.unclaimed_s(now) > UNCLAIMED_S:
                yield Stall(DELIVERIES_UNCLAIMED, f"{lane.name} (delivery {lane.delivery.id})")
        for topic, missing in unassigned(lanes, self._owner.health.topics).items():
            yield Stall(NOT_ASSIGNED, topic, f"{missing} partitions have no reader")
        if self._last_was_stale:
            yield Stall(DELIVERIES_STALE, "")
        if DEAD_LETTERS_FULL not in self._owner.health.problems:  # which says already why they wait
            for number, subject in self._dead_letters.items():
                yield Stall(DEAD_LETTERS_WAITING, f"{subject} (batch {number})")


def unassigned(lanes: Collection[Lane], partitions: Mapping[str, int]) -> dict[str, int]:
    """How many partitions of each topic no lane reads, where there are any."""
    read = dict.fromkeys(partitions, 0)
    for lane in lanes:
        read[lane.partition.topic] = read.get(lane.partition.topic, 0) + 1
    return {topic: number - read[topic] for topic, number in partitions.items() if number > read[topic]}
