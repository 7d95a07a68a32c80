"""The deliveries in flight: what a report settles, and what is overdue.

report      the delivery                                          its lanes
STARTED     is CLAIMED; its lease runs                            -
PROGRESS    its lease is renewed                                  settle what is done
RETRY       keeps the failed batch only, waits for the countdown  settle what is done, take back the tail
FINISHED    ends                                                  settle what is done, take back the tail, are free
EXHAUSTED   ends                                                  settle what is done, rewind, are HELD
STALE       ends: the worker found another epoch, or none         rewind
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from webhookd.flow import retry
from webhookd.flow.delivery import Delivery, Stage, take_back
from webhookd.flow.lane import Lane, LaneState
from webhookd.flow.report import Kind, Report

SLOW_EXCHANGE_S = 0.15
"""A lane whose exchanges take longer, twice in a row, travels alone: it would keep the others' task open."""

STALE_PAUSE_S = 0.5
"""Between a worker's "stale" and the next dispatch: while one cannot read the database, the two may not agree."""

LONGEST_CLAIM_WAIT_S = 300.0
"""A delivery that nobody claims is published again at doubling intervals, up to this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases:
    """How long silence means nothing."""

    claim_timeout_s: float
    lease_s: float
    request_deadline_s: float
    retry_time_scale: float = 1.0


@dataclass(slots=True)
class Effect:
    """What the ingest loop has to do after a report or a timeout."""

    delivered: int = 0
    reread: list[tuple[Lane, int]] = field(default_factory=list)
    held: list[Lane] = field(default_factory=list)
    recovered: list[Lane] = field(default_factory=list)
    freed: bool = False


class Dispatches:
    """Deliveries by id; owned by the ingest loop, not thread-safe."""

    def __init__(self, leases: Leases, new_token: Callable[[], str], chance: Callable[[], float]) -> None:
        self._leases = leases
        self._new_token = new_token
        self._chance = chance
        self._in_flight: dict[str, Delivery] = {}

    def __len__(self) -> int:
        """How many deliveries are in flight."""
        return len(self._in_flight)

    @property
    def under_way(self) -> int:
        """How many deliveries a worker has, or is about to get; those that wait for a retry may wait long."""
        return sum(delivery.stage is not Stage.RETRYING for delivery in self._in_flight.values())

    @property
    def oldest_at(self) -> float:
        """Since when the oldest delivery has had no answer (one that waits for a retry has); infinity without any."""
        return min((delivery.asked_at for delivery in self._in_flight.values()), default=inf)

    def __getitem__(self, delivery_id: str) -> Delivery:
        """Raises KeyError for a delivery that is settled or was given up."""
        return self._in_flight[delivery_id]

    def published(self, delivery: Delivery, now: float) -> None:
        """It is on its way, for the first time or again under the same id."""
        wait_s = self._leases.claim_timeout_s * 2.0**delivery.publications
        delivery.publications = min(delivery.publications + 1, 10)
        delivery.due_at = now + min(wait_s, LONGEST_CLAIM_WAIT_S)
        delivery.asked_at = min(delivery.asked_at, now)
        self._in_flight[delivery.id] = delivery

    def report(self, report: Report, now: float) -> Effect:
        """Apply one report; a second copy, an older attempt's or a forgotten delivery's changes nothing."""
        effect = Effect()
        delivery = self._in_flight.get(report.delivery)
        if delivery is None or report.attempt != delivery.attempt:
            return effect
        if not delivery.current:
            del self._in_flight[delivery.id]
            return effect
        effect.delivered = _settle(delivery, delivery.base + report.done)
        _measure(delivery, report)
        match report.kind:
            case Kind.STARTED | Kind.PROGRESS:
                self._claimed(delivery, now)
            case Kind.RETRY:
                self._retrying(delivery, report.wait_s, now)
            case Kind.FINISHED:
                self._finished(delivery, effect)
            case Kind.EXHAUSTED:
                self._exhausted(delivery, effect, now)
            case Kind.STALE:
                self.give_up(delivery, effect)
                for lane in delivery.lanes:
                    lane.rest_until = now + STALE_PAUSE_S
        return effect

    def overdue(self, now: float) -> tuple[list[Delivery], list[Delivery]]:
        """Those nobody claimed (to be published again), and those whose worker fell silent (to be given up)."""
        unclaimed: list[Delivery] = []
        lost: list[Delivery] = []
        for delivery in list(self._in_flight.values()):
            if not delivery.current:
                del self._in_flight[delivery.id]
            elif delivery.due_at <= now:
                (unclaimed if delivery.stage is Stage.QUEUED else lost).append(delivery)
        return unclaimed, lost

    def give_up(self, delivery: Delivery, effect: Effect) -> None:
        """Its fate is unknown: its lanes take a new epoch and read again from their watermark."""
        self._in_flight.pop(delivery.id, None)
        for lane in delivery.lanes:
            effect.reread.append((lane, lane.rewind(self._new_token())))
        effect.freed = True

    def _claimed(self, delivery: Delivery, now: float) -> None:
        delivery.stage = Stage.CLAIMED
        delivery.due_at = now + self._leases.lease_s + self._leases.request_deadline_s

    def _retrying(self, delivery: Delivery, wait_s: float, now: float) -> None:
        delivery.stage = Stage.RETRYING
        delivery.attempt += 1
        delivery.base = delivery.done
        _return_tail(delivery, delivery.done + 1)
        slack_s = self._leases.claim_timeout_s + self._leases.lease_s + self._leases.request_deadline_s
        delivery.due_at = now + wait_s + slack_s
        delivery.asked_at = now + wait_s
        for lane in delivery.lanes:
            lane.alone = True

    def _finished(self, delivery: Delivery, effect: Effect) -> None:
        if delivery.shares is not None and not delivery.done:
            self.give_up(delivery, effect)  # a mixed batch cannot go back to its lanes in part: they read it again
            return
        del self._in_flight[delivery.id]
        _return_tail(delivery, delivery.done)
        for lane in delivery.lanes:
            lane.delivery = None
            if lane.state is LaneState.PROBING and delivery.done:
                lane.state = LaneState.FLOWING
                lane.failed_probes = 0
                effect.recovered.append(lane)
        effect.freed = True

    def _exhausted(self, delivery: Delivery, effect: Effect, now: float) -> None:
        self.give_up(delivery, effect)
        for lane in delivery.lanes:
            lane.state = LaneState.HELD
            lane.alone = True
            wait_s = retry.probe_wait_s(lane.failed_probes, self._chance()) * self._leases.retry_time_scale
            lane.probe_at = now + wait_s
            lane.failed_probes += 1
            effect.held.append(lane)


def due_probes(lanes: Iterable[Lane], now: float) -> list[Lane]:
    """The held lanes that are to be tried again now; they are PROBING from here on."""
    due = [lane for lane in lanes if lane.state is LaneState.HELD and lane.probe_at <= now]
    for lane in due:
        lane.state = LaneState.PROBING
    return due


def _settle(delivery: Delivery, done: int) -> int:
    """Settle the batches that were acknowledged since the last report; answers how many records that were."""
    fresh = delivery.batches[delivery.done : done]
    if not fresh:
        return 0
    delivery.done += len(fresh)
    records = sum(batch.records for batch in fresh)
    if delivery.shares is None:
        delivery.lanes[0].settle(records, sum(len(batch.body) for batch in fresh))
    else:
        for lane, share in zip(delivery.lanes, delivery.shares, strict=True):
            lane.settle(share, 0)
    return records


def _measure(delivery: Delivery, report: Report) -> None:
    if report.kind not in {Kind.FINISHED, Kind.RETRY} or not report.done:
        return
    for lane in delivery.lanes:
        lane.slow = lane.slow + 1 if report.sending_s > SLOW_EXCHANGE_S * report.done else 0
        lane.alone = report.failure is not None or lane.slow > 1
        if delivery.shares is None:
            lane.pace.measured(report.done, report.sending_s)


def _return_tail(delivery: Delivery, first: int) -> None:
    """What was never sent goes back to its lane. A mixed delivery has one batch, which was sent or goes as a whole."""
    tail = delivery.batches[first:]
    del delivery.batches[first:]
    if tail and delivery.shares is None:
        take_back(delivery.lanes[0], tail)
