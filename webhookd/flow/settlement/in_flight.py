"""The deliveries in flight: what a report settles, and what is overdue.

report      the delivery                                          its lanes
STARTED     is CLAIMED; its lease runs                            -
PROGRESS    its lease is renewed                                  settle what is done
RETRY       keeps the failed batch only, waits for the countdown  settle what is done, take back the tail
FINISHED    ends                                                  settle what is done, take back the tail, are free
EXHAUSTED   ends                                                  settle what is done, rewind, are HELD
            or, with dead letters, keeps the failed batch only    settle what is done, take back the tail; free once
            and is BURYING                                        the rows are safe
GONE        ends                                                  settle what is done, rewind, are HELD for good
STALE       ends: the worker found another epoch, or none         rewind

A claimed delivery whose worker fell silent is lost: its lanes rewind. After the third in a row at one watermark it
counts as EXHAUSTED, although nobody reported.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from webhookd.flow.attempt import retry
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.attempt.judge import SLOW_DOWN
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.dispatch.queue_names import RETRY
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch
from webhookd.flow.settlement.queue_progress import QueueProgress

SLOW_EXCHANGE_S = 0.15
"""A lane whose exchanges take longer, twice in a row, travels alone: it would keep the others' task open."""

STALE_PAUSE_S = 0.5
"""Between a worker's "stale" and the next dispatch: while one cannot read the database, the two may not agree."""

LONGEST_CLAIM_WAIT_S = 300.0
"""A delivery that nobody claims is published again at doubling intervals, up to this one."""

MAX_WORKER_LOSSES = 3
"""So many workers may a batch cost; one that was killed for another reason is nobody's fault."""

SHORTEST_COOLDOWN_S, LONGEST_COOLDOWN_S = 0.1, 10.0
"""Between two deliveries of a lane whose endpoint said 429 or 503: doubled with each, halved with each success."""


EARLY_S = 1.0
"""A retry that begins earlier than it was to, by this and by half of its wait, came by a clock that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTimeouts:
    """How long silence means nothing."""

    claim_timeout_s: float
    lease_s: float
    request_deadline_s: float
    retry_time_scale: float = 1.0


@dataclass(slots=True)
class ReportEffect:
    """What the ingest loop has to do after a report or a timeout."""

    delivered: int = 0
    reread: list[tuple[Lane, int]] = field(default_factory=list)
    opened_circuits: list[Lane] = field(default_factory=list)
    closed_circuits: list[Lane] = field(default_factory=list)
    exhausted_batch: ExhaustedBatch | None = None
    endpoint_gone: bool = False
    lanes_freed: bool = False


class InFlightDeliveries:
    """Deliveries by id; owned by the ingest loop, not thread-safe."""

    def __init__(self, timeouts: DeliveryTimeouts, new_token: Callable[[], str], chance: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._new_token = new_token
        self._chance = chance
        self.reports_late = False
        """Reports were held up: when a worker has sent one is not known, so none says that an attempt began early."""
        self._in_flight: dict[str, Delivery] = {}
        self._queue_progress = QueueProgress(timeouts.claim_timeout_s)

    def __len__(self) -> int:
        """How many deliveries are in flight."""
        return len(self._in_flight)

    @property
    def under_way(self) -> int:
        """How many deliveries a worker has, or is about to get; those that wait for a retry may wait long."""
        return sum(delivery.stage is not DeliveryStage.RETRYING for delivery in self._in_flight.values())

    @property
    def retrying(self) -> int:
        """How many wait for their retry."""
        return sum(delivery.stage is DeliveryStage.RETRYING for delivery in self._in_flight.values())

    @property
    def oldest_at(self) -> float:
        """Since when the oldest delivery has had no answer (one that waits for a retry has); infinity without any."""
        return min((delivery.claimable_at for delivery in self._in_flight.values()), default=inf)

    def __getitem__(self, delivery_id: str) -> Delivery:
        """Raises KeyError for a delivery that is settled or was given up."""
        return self._in_flight[delivery_id]

    def published(self, delivery: Delivery, now: float) -> None:
        """It is on its way, for the first time or again under the same id."""
        wait_s = self._timeouts.claim_timeout_s * 2.0**delivery.publications
        delivery.publications = min(delivery.publications + 1, 10)
        delivery.due_at = now + min(wait_s, LONGEST_CLAIM_WAIT_S)
        delivery.publication_number = self._queue_progress.published(delivery.queue)
        delivery.claimable_at = min(delivery.claimable_at, now)
        self._in_flight[delivery.id] = delivery

    def apply(self, report: Report, now: float) -> ReportEffect:
        """Apply one report; a second copy, an older attempt's or a forgotten delivery's changes nothing."""
        effect = ReportEffect()
        delivery = self._in_flight.get(report.delivery)
        if delivery is None or report.attempt != delivery.attempt or delivery.stage is DeliveryStage.DEAD_LETTERING:
            return effect
        if not delivery.current:
            del self._in_flight[delivery.id]
            return effect
        effect.delivered = _settle(delivery, delivery.done_before_attempt + report.done, now)
        if effect.delivered or report.kind is ReportKind.STARTED:
            delivery.last_progress_at = now
        _record_timings(delivery, report, now)
        early = now < delivery.not_before and report.kind is not ReportKind.STALE
        if delivery.stage is DeliveryStage.RETRYING and early:
            delivery.early_attempts += 1
        self._apply_kind(delivery, report, now, effect)
        return effect

    def _apply_kind(self, delivery: Delivery, report: Report, now: float, effect: ReportEffect) -> None:
        match report.kind:
            case ReportKind.STARTED | ReportKind.PROGRESS:
                self._claimed(delivery, now)
            case ReportKind.RETRY:
                self._retrying(delivery, report, now)
            case ReportKind.FINISHED:
                self._finished(delivery, effect)
            case ReportKind.EXHAUSTED if delivery.early_attempts:
                self._exhausted_too_early(delivery, report, effect)
            case ReportKind.EXHAUSTED:
                self._exhausted(delivery, report.failure, report.wait_s, now, effect)
            case ReportKind.GONE:
                self._endpoint_gone(delivery, effect)
            case ReportKind.STALE:
                self.rewind(delivery, effect)
                for lane in delivery.lanes:
                    lane.dispatch_not_before = max(lane.dispatch_not_before, now + STALE_PAUSE_S)

    def overdue(self, now: float) -> tuple[list[Delivery], list[Delivery]]:
        """Those nobody claimed (to be published again), and those whose worker fell silent (to be given up)."""
        unclaimed: list[Delivery] = []
        lost: list[Delivery] = []
        for delivery in list(self._in_flight.values()):
            if not delivery.current:
                del self._in_flight[delivery.id]
            elif delivery.due_at > now:
                continue
            elif delivery.stage is not DeliveryStage.QUEUED:
                lost.append(delivery)
            elif self._queue_progress.still_queued(delivery.queue, delivery.publication_number, now):
                delivery.due_at = now + self._timeouts.claim_timeout_s
            else:
                unclaimed.append(delivery)
        return unclaimed, lost

    def process_was_suspended(self, for_s: float) -> None:
        """This process did not run for so long: silence in that time means nothing."""
        for delivery in self._in_flight.values():
            delivery.due_at += for_s
            delivery.last_progress_at += for_s

    def worker_lost(self, delivery: Delivery, now: float) -> ReportEffect:
        """Its worker fell silent: its lanes read again, and after the third time in a row it is exhausted."""
        effect = ReportEffect()
        claimed = delivery.stage is DeliveryStage.CLAIMED and delivery.due_at > -inf
        if claimed:
            for lane in delivery.lanes:
                lane.worker_losses += 1
        if claimed and max(lane.worker_losses for lane in delivery.lanes) >= MAX_WORKER_LOSSES:
            self._exhausted(delivery, None, 0.0, now, effect)
        else:
            self.rewind(delivery, effect)
            for lane in delivery.lanes:
                self._spread_apart(lane, now)
        return effect

    def _spread_apart(self, lane: Lane, now: float) -> None:
        """Lanes that were lost together come back apart, from the second time on: one of them may be the poison."""
        if lane.worker_losses > 1:
            lane.dispatch_not_before = now + self._chance() * self._timeouts.lease_s * 2.0**lane.worker_losses

    def dead_letters_stored(self, delivery: Delivery) -> ReportEffect:
        """The dead letters of its failed batch are safe: the lane goes on behind it."""
        effect = ReportEffect()
        if self._in_flight.get(delivery.id) is not delivery or not delivery.current:
            return effect
        _count_done(delivery, delivery.done + 1)
        self._end(delivery, effect)
        return effect

    def rewind(self, delivery: Delivery, effect: ReportEffect) -> None:
        """Its fate is unknown: its lanes take a new epoch and read again from their watermark."""
        self._in_flight.pop(delivery.id, None)
        for lane in delivery.lanes:
            effect.reread.append((lane, lane.rewind(self._new_token())))
        effect.lanes_freed = True

    def _claimed(self, delivery: Delivery, now: float) -> None:
        if delivery.stage is DeliveryStage.QUEUED:
            self._queue_progress.claimed(delivery.queue, delivery.publication_number, now)
        delivery.stage = DeliveryStage.CLAIMED
        delivery.due_at = now + self._timeouts.lease_s + self._timeouts.request_deadline_s

    def _retrying(self, delivery: Delivery, report: Report, now: float) -> None:
        failures = (delivery.failures if not delivery.done else 0) + delivery.attempt + 1
        delivery.stage = DeliveryStage.RETRYING
        delivery.queue = RETRY
        delivery.shared_task, delivery.thread_share = 0, 1.0
        delivery.attempt += 1
        delivery.failures = delivery.failures if not delivery.done else 0
        delivery.done_before_attempt = delivery.done
        _return_tail(delivery, delivery.done + 1)
        slack_s = self._timeouts.claim_timeout_s + self._timeouts.lease_s + self._timeouts.request_deadline_s
        delivery.due_at = now + report.wait_s + slack_s
        delivery.claimable_at = now + report.wait_s
        delivery.not_before = -inf if self.reports_late else delivery.claimable_at - max(EARLY_S, report.wait_s / 2)
        for lane in delivery.lanes:
            lane.send_alone = True
            lane.failures = failures
            _begin_to_fail(lane, report.failure)

    def _finished(self, delivery: Delivery, effect: ReportEffect) -> None:
        if delivery.records_per_lane is not None and not delivery.done:
            self.rewind(delivery, effect)  # a mixed batch cannot go back to its lanes in part: they read it again
            return
        if delivery.done:
            effect.closed_circuits = [lane for lane in delivery.lanes if lane.circuit.state is CircuitState.HALF_OPEN]
        for lane in effect.closed_circuits:
            lane.circuit.close()
        self._end(delivery, effect)

    def _end(self, delivery: Delivery, effect: ReportEffect) -> None:
        del self._in_flight[delivery.id]
        _return_tail(delivery, delivery.done)
        for lane in delivery.lanes:
            lane.delivery = None
        effect.lanes_freed = True

    def _exhausted(
        self, delivery: Delivery, failure: LoggedExchange | None, asked_s: float, now: float, effect: ReportEffect
    ) -> None:
        attempts = (delivery.failures if not delivery.done else 0) + delivery.attempt + 1
        for lane in delivery.lanes:
            lane.send_alone = True
            _begin_to_fail(lane, failure)
        if delivery.dead_letter_when_exhausted:
            batch = delivery.batches[delivery.done]
            _return_tail(delivery, delivery.done + 1)
            delivery.stage, delivery.due_at, delivery.claimable_at = DeliveryStage.DEAD_LETTERING, inf, inf
            effect.exhausted_batch = ExhaustedBatch(delivery=delivery, batch=batch, failure=failure, attempts=attempts)
            for lane in delivery.lanes:  # held under another policy: only this batch has had its attempts
                lane.circuit.close()
            return
        self.rewind(delivery, effect)
        for lane in delivery.lanes:
            wait_s = retry.probe_wait_s(lane.circuit.failed_probes, self._chance()) * self._timeouts.retry_time_scale
            self._open_circuit(lane, now + max(wait_s, asked_s), effect)

    def _exhausted_too_early(self, delivery: Delivery, report: Report, effect: ReportEffect) -> None:
        """No attempt is left, but some began long before their time: as many are made again, the first in its time."""
        attempts = (delivery.failures if not delivery.done else 0) + delivery.attempt + 1
        self.rewind(delivery, effect)
        for lane in delivery.lanes:
            lane.send_alone = True
            lane.failures = max(0, attempts - delivery.early_attempts)
            lane.dispatch_not_before = max(lane.dispatch_not_before, delivery.claimable_at)
            _begin_to_fail(lane, report.failure)

    def _endpoint_gone(self, delivery: Delivery, effect: ReportEffect) -> None:
        self.rewind(delivery, effect)
        effect.endpoint_gone = True
        for lane in delivery.lanes:
            self._open_circuit(lane, inf, effect)

    @staticmethod
    def _open_circuit(lane: Lane, until: float, effect: ReportEffect) -> None:
        lane.circuit.open(until)
        effect.opened_circuits.append(lane)


def due_probes(lanes: Iterable[Lane], now: float) -> list[Lane]:
    """The held lanes that are to be tried again now; they are PROBING from here on."""
    return [lane for lane in lanes if lane.circuit.half_open_if_due(now)]


def _settle(delivery: Delivery, done: int, now: float) -> int:
    """Settle the batches that were acknowledged since the last report; answers how many records that were."""
    records = _count_done(delivery, done)
    if records:
        for lane in delivery.lanes:
            lane.circuit.end_failing()
            lane.endpoint_latency.succeeded_at = now
    return records


def _count_done(delivery: Delivery, done: int) -> int:
    """The first `done` batches are done with; answers how many records the fresh ones among them hold."""
    fresh = delivery.batches[delivery.done : done]
    if not fresh:
        return 0
    delivery.done += len(fresh)
    records = sum(batch.records for batch in fresh)
    if delivery.records_per_lane is None:
        delivery.lanes[0].settle(records, sum(len(batch.body) for batch in fresh))
    else:
        for lane, share in zip(delivery.lanes, delivery.records_per_lane, strict=True):
            lane.settle(share, 0)
    return records


def _begin_to_fail(lane: Lane, failure: LoggedExchange | None) -> None:
    if failure is not None:
        lane.circuit.begin_failing(failure.at)


def _record_timings(delivery: Delivery, report: Report, now: float) -> None:
    if report.failure is not None and report.failure.error in SLOW_DOWN:
        for lane in delivery.lanes:
            lane.cool_down_s = min(LONGEST_COOLDOWN_S, max(SHORTEST_COOLDOWN_S, 2 * lane.cool_down_s))
    requests = report.done + (report.failure is not None)
    if report.kind not in {ReportKind.STARTED, ReportKind.PROGRESS}:
        delivery.lanes[0].endpoint_latency.measured(requests, report.sending_s)
    if report.kind not in {ReportKind.FINISHED, ReportKind.RETRY} or not report.done:
        return
    for lane in delivery.lanes:
        lane.slow_deliveries = lane.slow_deliveries + 1 if report.sending_s > SLOW_EXCHANGE_S * report.done else 0
        lane.send_alone = report.failure is not None or lane.slow_deliveries > 1
        if delivery.records_per_lane is None:
            lane.throughput.measured(report.done, report.sending_s)
        if lane.cool_down_s and report.failure is None:
            _begin_cooldown(lane, now)


def _begin_cooldown(lane: Lane, now: float) -> None:
    """An endpoint that asked for fewer requests gets its next delivery after a rest, which success shortens."""
    lane.dispatch_not_before = now + lane.cool_down_s
    lane.cool_down_s = lane.cool_down_s / 2 if lane.cool_down_s > SHORTEST_COOLDOWN_S else 0.0


def _return_tail(delivery: Delivery, first: int) -> None:
    """What was never sent goes back to its lane. A mixed delivery has one batch, which was sent or goes as a whole."""
    tail = delivery.batches[first:]
    del delivery.batches[first:]
    if tail and delivery.records_per_lane is None:
        delivery.lanes[0].put_back(tail)
