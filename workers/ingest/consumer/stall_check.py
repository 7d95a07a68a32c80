"""Checks one subscription once a second: the state of its deliveries, and stalls.

A stall (flow/monitoring/subscription_stall.py) that lasts becomes a problem of the subscription. The problem ends when
the stall is not found any more. Between two checks, callbacks note dead letters that wait and stale deliveries.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from math import inf
from typing import Protocol

from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification
from webhookd.flow.monitoring.subscription_stall import (
    DEAD_LETTERS_WAITING,
    DELIVERIES_STALE,
    DELIVERIES_UNCLAIMED,
    DESTINATION_UNUSABLE,
    ENDPOINT_UNVERIFIED,
    NOT_ASSIGNED,
    POSITION_UNKNOWN,
    RESUMED_PROBLEM_KEPT_S,
    SECRETS_UNREADABLE,
    Stall,
    StallDetector,
)
from webhookd.flow.offsets.position import Partition
from workers.ingest.consumer.subscription_health import CONSUMER_FAILED, SubscriptionHealth
from workers.ingest.ports import Services

DEAD_LETTERS_FULL = "dead_letters_full"
"""No more dead letters of the subscription are stored until some are deleted."""

READING_RECOVERED_S = 60.0
"""Reading counts as recovered when the positions of all lanes have been known for this long."""

UNABLE = frozenset({ReportKind.UNREADABLE, ReportKind.UNUSABLE})
"""The reports of a worker that can send nothing for a subscription."""

UNABLE_KEPT_S = 30.0
"""How long such a problem lasts after the last report, whatever other workers can do: their keys, settings and versions
may differ, and the problem must not begin and end with each delivery."""

UNCLAIMED_S = 10.0
"""Deliveries that are claimed within this time, as nearly all are, are not passed to the detector."""


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    health: SubscriptionHealth
    status_changed: bool
    verification: EndpointVerification | None

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem, or give it another detail."""

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""

    def end_resumed_delivery_problem(self) -> None:
        """End the delivery problem of the process before, if no lane fails."""


class StallCheck:
    """The check of one subscription; owned by the ingest loop's thread. `limited_by` says what holds records back."""

    def __init__(
        self,
        owner: Owner,
        services: Services,
        *,
        max_retries: int,
        limited_by: Callable[[float], str] = lambda _now: "",
    ) -> None:
        self._owner = owner
        self._services = services
        self._max_attempts = max_retries + 1
        self._limited_by = limited_by
        self._began_at = services.monotonic()
        self._stalls = StallDetector()
        self._begun: set[str] = set()
        self._dead_letters: dict[int, str] = {}
        self._order = count()
        self._unknown_positions: dict[Partition, str] = {}
        self._last_kind = ReportKind.STARTED
        self._unable_at = dict.fromkeys(UNABLE, -inf)
        self._unusable_because = ""
        self._readable_since: float | None = None
        self._has_been_readable = False

    def delivery_ended(self, kind: ReportKind, detail: str = "") -> None:
        """Note a report about a delivery, and why nothing was sent; reports of progress are ignored."""
        if kind not in {ReportKind.STARTED, ReportKind.PROGRESS, ReportKind.WAITING}:
            self._last_kind = kind
        if kind in UNABLE:
            self._unable_at[kind] = self._services.monotonic()
        if kind is ReportKind.UNUSABLE:
            self._unusable_because = detail

    def positions_looked_up(self, partitions: Collection[Partition], error: str = "") -> None:
        """Note the result of a lookup of these positions; `error` is empty if Kafka answered."""
        for partition in partitions:
            if error:
                self._unknown_positions[partition] = error
            else:
                self._unknown_positions.pop(partition, None)

    def track_dead_letters(self, subject: str, stored: Callable[[], None]) -> Callable[[], None]:
        """Note that dead letters of `subject` are being stored; returns the callback to use in place of `stored`."""
        number = next(self._order)
        self._dead_letters[number] = subject

        def written() -> None:
            self._dead_letters.pop(number, None)
            stored()

        return written

    def check(self, lanes: Collection[Lane]) -> None:
        """Update the delivery status; begin and end the problems of stalls."""
        owner, now, wall = self._owner, self._services.monotonic(), self._services.wall_clock()
        owner.status_changed |= owner.health.update_delivery_status(
            lanes,
            self._max_attempts,
            monotonic=now,
            wall=wall,
            limited_by=self._limited_by(now),
            verification=owner.verification,
        )
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
        """Whether a problem may end; one from before the start is kept until its cause would have been found again."""
        return code in self._begun or now - self._began_at >= RESUMED_PROBLEM_KEPT_S[code]

    def _check_reading(self, lanes: Collection[Lane], now: float) -> None:
        readable = bool(lanes) and all(lane.position_known and not lane.seek_due for lane in lanes)
        if not readable:
            self._readable_since = None
            return
        if not self._has_been_readable and not unassigned(lanes, self._owner.health.topics):
            self._has_been_readable = True
            self._owner.end_resumed_delivery_problem()
        self._readable_since = now if self._readable_since is None else self._readable_since
        if now - self._readable_since >= READING_RECOVERED_S and CONSUMER_FAILED in self._owner.health.problems:
            self._owner.end_problem(CONSUMER_FAILED)

    def _find_stalls(self, lanes: Collection[Lane], now: float) -> Iterator[Stall]:
        yield from self._find_waiting_lanes(lanes, now)
        if self._owner.verification is not None:
            yield Stall(ENDPOINT_UNVERIFIED, "", self._owner.verification.detail)
        if self._last_kind is ReportKind.STALE:
            yield Stall(DELIVERIES_STALE, "")
        if self._unable(ReportKind.UNREADABLE, now):
            yield Stall(SECRETS_UNREADABLE, "")
        if self._unable(ReportKind.UNUSABLE, now):
            yield Stall(DESTINATION_UNUSABLE, "", self._unusable_because)
        if DEAD_LETTERS_FULL not in self._owner.health.problems:  # otherwise they wait for free rows
            for number, subject in self._dead_letters.items():
                yield Stall(DEAD_LETTERS_WAITING, f"{subject} (batch {number})")

    def _find_waiting_lanes(self, lanes: Collection[Lane], now: float) -> Iterator[Stall]:
        for lane in lanes:
            if not lane.position_known or lane.seek_due or lane.partition in self._unknown_positions:
                yield Stall(POSITION_UNKNOWN, lane.name, self._unknown_positions.get(lane.partition, ""))
            if lane.delivery is not None and lane.delivery.unclaimed_s(now) > UNCLAIMED_S:
                yield Stall(DELIVERIES_UNCLAIMED, f"{lane.name} (delivery {lane.delivery.id})")
        for topic, missing in unassigned(lanes, self._owner.health.topics).items():
            yield Stall(NOT_ASSIGNED, topic, f"{missing} partitions have no reader")

    def _unable(self, kind: ReportKind, now: float) -> bool:
        return self._last_kind is kind or now - self._unable_at[kind] < UNABLE_KEPT_S


def unassigned(lanes: Collection[Lane], partitions: Mapping[str, int]) -> dict[str, int]:
    """How many partitions of each topic have no lane; topics without such partitions are left out."""
    read = dict.fromkeys(partitions, 0)
    for lane in lanes:
        read[lane.partition.topic] = read.get(lane.partition.topic, 0) + 1
    return {topic: number - read[topic] for topic, number in partitions.items() if number > read[topic]}
