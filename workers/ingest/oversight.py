"""Once a second, over one subscription: what its deliveries do now, and what has stood still for too long.

A standstill (flow/standstill.py) that lasts becomes a problem of its subscription, and is over when it is not found any
more. What only callbacks tell (dead letters, stale deliveries) is noted here in between.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from typing import Protocol

from webhookd.flow.lane import Lane
from webhookd.flow.position import Partition
from webhookd.flow.report import Kind
from webhookd.flow.standstill import (
    DEAD_LETTERS_WAITING,
    DELIVERIES_STALE,
    DELIVERIES_UNCLAIMED,
    INHERITED_S,
    NOT_ASSIGNED,
    POSITION_UNKNOWN,
    Standstill,
    Standstills,
)
from workers.ingest.ports import Services
from workers.ingest.vitals import INTAKE_FAILED, Vitals

DEAD_LETTERS_FULL = "dead_letters_full"
"""No more dead letters of the subscription are stored until some are deleted."""

READS_WELL_S = 60.0

UNCLAIMED_S = 10.0
"""Deliveries that are claimed sooner, as nearly all are, need not be remembered."""


class Watched(Protocol):
    """The intake that is looked at."""

    vitals: Vitals
    changed: bool

    def suffer(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem began."""

    def overcome(self, code: str) -> None:
        """The standing problem with this code is over."""


class Oversight:
    """Owned by the ingest loop's thread."""

    def __init__(self, intake: Watched, services: Services, *, max_retries: int) -> None:
        self._intake = intake
        self._services = services
        self._max_attempts = max_retries + 1
        self._began_at = services.monotonic()
        self._standstills = Standstills()
        self._begun: set[str] = set()
        self._letters: dict[int, str] = {}
        self._order = count()
        self._unanswered: dict[Partition, str] = {}
        self._stale = False
        self._well_since: float | None = None

    def delivery_ended(self, kind: Kind) -> None:
        """A worker said how a delivery ended, or how far it is."""
        if kind not in {Kind.STARTED, Kind.PROGRESS}:
            self._stale = kind is Kind.STALE

    def answered(self, partitions: Collection[Partition], error: str = "") -> None:
        """Kafka was asked for these positions: it answered, or why it did not."""
        for partition in partitions:
            if error:
                self._unanswered[partition] = error
            else:
                self._unanswered.pop(partition, None)

    def letters_wait(self, subject: str, safe: Callable[[], None]) -> Callable[[], None]:
        """Dead letters of `subject` are on their way; returns what is to be called instead of `safe`."""
        number = next(self._order)
        self._letters[number] = subject

        def written() -> None:
            self._letters.pop(number, None)
            safe()

        return written

    def look(self, lanes: Collection[Lane]) -> None:
        """Compare with the last time, and tell what is news."""
        intake, now, wall = self._intake, self._services.monotonic(), self._services.wall_clock()
        intake.changed |= intake.vitals.saw_lanes(lanes, self._max_attempts, monotonic=now, wall=wall)
        if intake.vitals.too_long(lanes, wall):
            intake.suffer(intake.vitals.last_code)
        for code, detail in self._standstills.look(self._found(lanes, now), now).items():
            if detail is not None:
                self._begun.add(code)
                intake.suffer(code, detail, standing=True)
            elif code in intake.vitals.problems and self._may_end(code, now):
                intake.overcome(code)
        self._look_at_reading(lanes, now)

    def _may_end(self, code: str, now: float) -> bool:
        """A problem from before the start stands until its cause would have been found again."""
        return code in self._begun or now - self._began_at >= INHERITED_S[code]

    def _look_at_reading(self, lanes: Collection[Lane], now: float) -> None:
        well = bool(lanes) and all(lane.known and not lane.displaced for lane in lanes)
        if not well:
            self._well_since = None
            return
        self._well_since = now if self._well_since is None else self._well_since
        if now - self._well_since >= READS_WELL_S and INTAKE_FAILED in self._intake.vitals.problems:
            self._intake.overcome(INTAKE_FAILED)

    def _found(self, lanes: Collection[Lane], now: float) -> Iterator[Standstill]:
        for lane in lanes:
            if not lane.known or lane.displaced or lane.partition in self._unanswered:
                yield Standstill(POSITION_UNKNOWN, lane.key, self._unanswered.get(lane.partition, ""))
            if lane.delivery is not None and lane.delivery.unclaimed_s(now) > UNCLAIMED_S:
                yield Standstill(DELIVERIES_UNCLAIMED, f"{lane.key} (delivery {lane.delivery.id})")
        for topic, missing in unassigned(lanes, self._intake.vitals.topics).items():
            yield Standstill(NOT_ASSIGNED, topic, f"{missing} partitions have no reader")
        if self._stale:
            yield Standstill(DELIVERIES_STALE, "")
        if DEAD_LETTERS_FULL not in self._intake.vitals.problems:  # which says already why they wait
            for number, subject in self._letters.items():
                yield Standstill(DEAD_LETTERS_WAITING, f"{subject} (batch {number})")


def unassigned(lanes: Collection[Lane], partitions: Mapping[str, int]) -> dict[str, int]:
    """How many partitions of each topic no lane reads, where there are any."""
    read = dict.fromkeys(partitions, 0)
    for lane in lanes:
        read[lane.partition.topic] = read.get(lane.partition.topic, 0) + 1
    return {topic: number - read[topic] for topic, number in partitions.items() if number > read[topic]}
