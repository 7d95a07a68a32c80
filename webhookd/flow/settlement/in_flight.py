"""The deliveries in flight: what reports settle, and which deliveries are overdue.

report      the delivery                                          its lanes
STARTED     is CLAIMED; its lease begins                          -
PROGRESS    its lease is renewed                                  settle the acknowledged batches
RETRY       is RETRYING: keeps only the failed batch, and waits   settle the acknowledged batches; the unsent ones go
            for the countdown                                     back to them
FINISHED    ends                                                  likewise, and may dispatch again
EXHAUSTED   without dead letters: ends                            settle the acknowledged batches and rewind; their
                                                                  circuits open
            with dead letters: is DEAD_LETTERING, keeps only the  settle the acknowledged batches; the unsent ones go
            failed batch                                          back to them. They may dispatch again when the dead
                                                                  letters are stored
DIVISIBLE   ends                                                  settle the acknowledged batches; the refused one goes
                                                                  back to them in parts (divided_delivery.py)
GONE        ends                                                  settle the acknowledged batches and rewind; their
                                                                  circuits open for good
STALE       ends: the worker found another epoch, or none         rewind, and pause shortly
UNREADABLE  ends: the worker cannot decrypt the secrets           rewind, and pause
UNUSABLE    ends: the worker cannot use the destination           likewise
WAITING     is not claimed, as a quota is used up; it becomes     -
            overdue later

To rewind is to take a new epoch and to read again from the watermark. A claimed delivery without reports until its
lease has run out has lost its worker: its lanes rewind. The third loss in a row at one watermark counts as EXHAUSTED.

Unsent batches give their tokens back to the pace of the subscription (dispatch_pace.py). When lanes rewind, these are

after                          batches that were not sent
STALE, UNREADABLE, UNUSABLE    all that are not acknowledged, unless it was claimed: then another copy of the task has
                               reported this. A retry takes its token only when it is claimed
EXHAUSTED, GONE                those behind the failed one
a lost worker                  none: it may have sent each of them. Too few requests for a moment are better than more
                               than the limit
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from webhookd.flow.attempt import retry
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage, Lane
from webhookd.flow.dispatch.open_sessions import CLAIM_TIMEOUT_S
from webhookd.flow.dispatch.queue_names import RETRY
from webhookd.flow.settlement.delivery_timeouts import DeliveryTimeouts
from webhookd.flow.settlement.divided_delivery import take_back_divided
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch
from webhookd.flow.settlement.lane_updates import (
    begin_failing,
    record_timings,
    return_unsent,
    settle,
    settle_acknowledged,
)
from webhookd.flow.settlement.queue_progress import UNKNOWN_PUBLICATION, QueueProgress
from webhookd.flow.settlement.superseded_deliveries import SupersededDeliveries

PAUSES_S: Mapping[ReportKind, float] = {
    ReportKind.STALE: 0.5,
    ReportKind.UNREADABLE: 5.0,
    ReportKind.UNUSABLE: 5.0,
}
"""The pause of a lane after reports that nothing was sent. STALE: while one of ingest and worker cannot read the
database, they may know different versions of the subscription. UNREADABLE, UNUSABLE: a person must act."""

LONGEST_CLAIM_WAIT_S = 300.0
"""An unclaimed delivery is published again at doubling intervals, up to this one."""

MAX_WORKER_LOSSES = 3
"""After so many lost workers in a row a batch is exhausted. A single loss need not be caused by the batch."""

EARLY_S = 1.0
"""A retry is too early when it begins before its due time, by more than this and by more than half of its wait. Then a
clock is wrong."""


@dataclass(slots=True)
class ReportEffect:
    """What the ingest loop has to do after a report or a timeout.

    `delivered` counts records. `reread` holds the lanes that were rewound, with the offset to read from. `lanes_freed`
    is True if lanes may dispatch again.
    """

    delivered: int = 0
    reread: list[tuple[Lane, int]] = field(default_factory=list)
    opened_circuits: list[Lane] = field(default_factory=list)
    closed_circuits: list[Lane] = field(default_factory=list)
    exhausted_batch: ExhaustedBatch | None = None
    endpoint_gone: bool = False
    lanes_freed: bool = False


class InFlightDeliveries:
    """The deliveries in flight, by id. Owned by the ingest loop, not thread-safe. Times are monotonic.

    `new_token` makes epochs, `chance` random numbers in [0, 1).
    """

    def __init__(self, timeouts: DeliveryTimeouts, new_token: Callable[[], str], chance: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._new_token = new_token
        self._chance = chance
        self.reports_late = False
        """Set while reports arrive late. Their sending times are unknown then, so no attempt counts as too early."""
        self.superseded = SupersededDeliveries(timeouts.silent_s)
        """The deliveries that their lanes have dropped, as far as workers may still be sending them."""
        self._in_flight: dict[str, Delivery] = {}
        self._queue_progress = QueueProgress(timeouts.claim_timeout_s)

    def __len__(self) -> int:
        """How many deliveries are in flight."""
        return len(self._in_flight)

    def __contains__(self, delivery: Delivery) -> bool:
        """Whether this delivery is in flight."""
        return self._in_flight.get(delivery.id) is delivery

    @property
    def under_way(self) -> int:
        """How many deliveries are in flight and do not wait for a retry."""
        return sum(delivery.stage is not DeliveryStage.RETRYING for delivery in self._in_flight.values())

    @property
    def retrying(self) -> int:
        """How many deliveries wait for their retry."""
        return sum(delivery.stage is DeliveryStage.RETRYING for delivery in self._in_flight.values())

    @property
    def oldest_at(self) -> float:
        """When a worker could first claim the oldest delivery or its retry; infinity without deliveries."""
        return min((delivery.claimable_at for delivery in self._in_flight.values()), default=inf)

    def __getitem__(self, delivery_id: str) -> Delivery:
        """Return the delivery with this id. Raises KeyError if it has ended."""
        return self._in_flight[delivery_id]

    def published(self, delivery: Delivery, now: float, *, pushed: bool = False) -> None:
        """Note that a delivery was published, for the first time or again under the same id, or pushed to a session."""
        wait_s = self._timeouts.claim_timeout_s * 2.0**delivery.publications
        if pushed:  # a session claims it at once, unless its worker is dead
            wait_s = min(wait_s, CLAIM_TIMEOUT_S)
            delivery.publication_number = UNKNOWN_PUBLICATION
        else:
            delivery.publications = min(delivery.publications + 1, 10)
            number = self._queue_progress.published(delivery.queue)
            # After a push the session may still claim it, which says nothing about the queue.
            delivery.publication_number = UNKNOWN_PUBLICATION if delivery.pushed else number
        delivery.due_at = now + min(wait_s, LONGEST_CLAIM_WAIT_S)
        delivery.claimable_at, delivery.pushed = min(delivery.claimable_at, now), pushed
        self._in_flight[delivery.id] = delivery

    def apply(self, report: Report, now: float) -> ReportEffect:
        """Apply one report. A second copy, or a report of an older attempt or an ended delivery, changes nothing."""
        effect = ReportEffect()
        delivery = self._in_flight.get(report.delivery)
        if delivery is None or report.attempt != delivery.attempt or delivery.stage is DeliveryStage.DEAD_LETTERING:
            return effect
        if not delivery.current:
            self._supersede(delivery, now)
            self.superseded.reported(report, now)
            return effect
        if report.kind is ReportKind.WAITING:
            self._refused(delivery, report, now)
            return effect
        done = delivery.done
        effect.delivered = settle_acknowledged(delivery, delivery.done_before_attempt + report.done, now)
        if effect.delivered or report.kind is ReportKind.STARTED:
            delivery.last_progress_at = now
        record_timings(delivery, report)
        if delivery.pace is not None:
            delivery.pace.reported(delivery.done - done, report.failure, now)
        early = now < delivery.not_before and report.kind not in PAUSES_S
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
            case ReportKind.DIVISIBLE:
                self._divided(delivery, report, now, effect)
            case ReportKind.STALE | ReportKind.UNREADABLE | ReportKind.UNUSABLE:
                self._not_sent(delivery, PAUSES_S[report.kind], now, effect)

    def overdue(self, now: float) -> tuple[list[Delivery], list[Delivery]]:
        """Return the unclaimed deliveries, to be published again, and those whose worker was lost (`worker_lost`)."""
        unclaimed: list[Delivery] = []
        lost: list[Delivery] = []
        for delivery in list(self._in_flight.values()):
            if not delivery.current:
                self._supersede(delivery, now)
            elif delivery.due_at > now:
                continue
            elif delivery.stage is not DeliveryStage.QUEUED:
                lost.append(delivery)
            elif self._queue_progress.still_queued(delivery.queue, delivery.publication_number, now):
                delivery.due_at = now + self._timeouts.claim_timeout_s
            else:
                unclaimed.append(delivery)
        return unclaimed, lost

    def drop_superseded(self, now: float) -> None:
        """Drop the deliveries that no lane waits for any more; `superseded` keeps those that workers have claimed."""
        for delivery in [delivery for delivery in self._in_flight.values() if not delivery.current]:
            self._supersede(delivery, now)

    def process_was_suspended(self, for_s: float) -> None:
        """Extend all timeouts by the time for which this process did not run."""
        self.superseded.process_was_suspended(for_s)
        for delivery in self._in_flight.values():
            delivery.due_at += for_s
            delivery.last_progress_at += for_s

    def worker_lost(self, delivery: Delivery, now: float) -> ReportEffect:
        """End a delivery whose worker was lost: its lanes rewind; after the third loss in a row it is exhausted."""
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
        """From the second loss on, dispatch the lanes of a task at different times, as one of them may be the cause."""
        if lane.worker_losses > 1:
            lane.dispatch_not_before = now + self._chance() * self._timeouts.lease_s * 2.0**lane.worker_losses

    def dead_letters_stored(self, delivery: Delivery) -> ReportEffect:
        """End a delivery whose failed batch is stored as dead letters: its lanes continue with the next batch."""
        effect = ReportEffect()
        if self._in_flight.get(delivery.id) is not delivery or not delivery.current:
            return effect
        settle(delivery, delivery.done + 1)
        self._end(delivery, effect)
        return effect

    def rewind(self, delivery: Delivery, effect: ReportEffect, unsent: Sequence[Batch] = ()) -> None:
        """End a delivery: its lanes take a new epoch and read again from their watermark.

        `unsent` are those of its batches that were certainly not sent; they give their tokens back.
        """
        self._in_flight.pop(delivery.id, None)
        if delivery.pace is not None and unsent:
            delivery.pace.give_back(unsent)
        for lane in delivery.lanes:
            effect.reread.append((lane, lane.rewind(self._new_token())))
        effect.lanes_freed = True

    def _not_sent(self, delivery: Delivery, pause_s: float, now: float, effect: ReportEffect) -> None:
        queued = delivery.stage is DeliveryStage.QUEUED
        self.rewind(delivery, effect, delivery.batches[delivery.done :] if queued else ())
        for lane in delivery.lanes:
            lane.dispatch_not_before = max(lane.dispatch_not_before, now + pause_s)

    def _refused(self, delivery: Delivery, report: Report, now: float) -> None:
        """Let an unclaimed delivery become overdue as if its task, which was published again, were published then."""
        if delivery.stage not in {DeliveryStage.QUEUED, DeliveryStage.RETRYING}:
            return  # another copy of its task was claimed meanwhile
        slack_s = self._timeouts.claim_timeout_s
        if delivery.stage is DeliveryStage.QUEUED:
            delivery.publication_number, delivery.pushed = self._queue_progress.published(delivery.queue), False
        else:
            slack_s += self._timeouts.silent_s(delivery.timeout_s)
        delivery.refused, delivery.shared_task, delivery.thread_share = True, 0, 1.0
        delivery.claimable_at = now + report.wait_s
        delivery.due_at = max(delivery.due_at, delivery.claimable_at + slack_s)
        if delivery.pace is not None:
            delivery.pace.refused(report.detail, delivery.claimable_at)

    def _supersede(self, delivery: Delivery, now: float) -> None:
        del self._in_flight[delivery.id]
        self.superseded.add(delivery, now)

    def _claimed(self, delivery: Delivery, now: float) -> None:
        if delivery.stage is DeliveryStage.QUEUED and delivery.publication_number != UNKNOWN_PUBLICATION:
            self._queue_progress.claimed(delivery.queue, delivery.publication_number, now)
        elif delivery.stage is DeliveryStage.RETRYING and delivery.pace is not None:
            delivery.pace.take(1, delivery.batches[delivery.done].records, now)
        delivery.stage, delivery.refused = DeliveryStage.CLAIMED, False
        delivery.due_at = now + self._timeouts.silent_s(delivery.timeout_s)

    def _retrying(self, delivery: Delivery, report: Report, now: float) -> None:
        failures = _attempts(delivery)
        delivery.stage = DeliveryStage.RETRYING
        delivery.queue = RETRY
        delivery.shared_task, delivery.thread_share = 0, 1.0
        delivery.attempt += 1
        delivery.failures = delivery.failures if not delivery.done else 0
        delivery.done_before_attempt = delivery.done
        return_unsent(delivery, delivery.done + 1)
        slack_s = self._timeouts.claim_timeout_s + self._timeouts.silent_s(delivery.timeout_s)
        delivery.due_at = now + report.wait_s + slack_s
        delivery.claimable_at = now + report.wait_s
        delivery.not_before = -inf if self.reports_late else delivery.claimable_at - max(EARLY_S, report.wait_s / 2)
        for lane in delivery.lanes:
            lane.send_alone = True
            lane.failures = failures
            begin_failing(lane, report.failure)

    def _finished(self, delivery: Delivery, effect: ReportEffect) -> None:
        if delivery.records_per_lane is not None and not delivery.done:
            # A mixed batch cannot be split between its lanes, so they read it again.
            self.rewind(delivery, effect, delivery.batches)
            return
        if delivery.done:
            effect.closed_circuits = [lane for lane in delivery.lanes if lane.circuit.state is CircuitState.HALF_OPEN]
        for lane in effect.closed_circuits:
            lane.circuit.close()
        self._end(delivery, effect)

    def _divided(self, delivery: Delivery, report: Report, now: float, effect: ReportEffect) -> None:
        take_back_divided(delivery, report.failure, now)
        self._end(delivery, effect)
        for lane in delivery.lanes:
            lane.failures = 0  # those of the whole batch; its parts are other content
            lane.dispatch_not_before = max(lane.dispatch_not_before, now + report.wait_s)

    def _end(self, delivery: Delivery, effect: ReportEffect) -> None:
        del self._in_flight[delivery.id]
        return_unsent(delivery, delivery.done)
        for lane in delivery.lanes:
            lane.delivery = None
        effect.lanes_freed = True

    def _exhausted(
        self,
        delivery: Delivery,
        failure: LoggedExchange | None,
        asked_wait_s: float,
        now: float,
        effect: ReportEffect,
    ) -> None:
        for lane in delivery.lanes:
            lane.send_alone = True
            begin_failing(lane, failure)
        if delivery.dead_letter_when_exhausted:
            _begin_dead_lettering(delivery, failure, effect)
            return
        self.rewind(delivery, effect, delivery.batches[delivery.done + 1 :] if failure is not None else ())
        for lane in delivery.lanes:
            wait_s = retry.probe_wait_s(lane.circuit.failed_probes, self._chance()) * self._timeouts.retry_time_scale
            self._open_circuit(lane, now + max(wait_s, asked_wait_s), effect)

    def _exhausted_too_early(self, delivery: Delivery, report: Report, effect: ReportEffect) -> None:
        """Repeat as many attempts as began too early, the first one at its due time: no other attempt is left."""
        attempts = _attempts(delivery)
        self.rewind(delivery, effect, delivery.batches[delivery.done + 1 :])
        for lane in delivery.lanes:
            lane.send_alone = True
            lane.failures = max(0, attempts - delivery.early_attempts)
            lane.dispatch_not_before = max(lane.dispatch_not_before, delivery.claimable_at)
            begin_failing(lane, report.failure)

    def _endpoint_gone(self, delivery: Delivery, effect: ReportEffect) -> None:
        self.rewind(delivery, effect, delivery.batches[delivery.done + 1 :])
        effect.endpoint_gone = True
        for lane in delivery.lanes:
            self._open_circuit(lane, inf, effect)

    @staticmethod
    def _open_circuit(lane: Lane, until: float, effect: ReportEffect) -> None:
        lane.circuit.open(until)
        effect.opened_circuits.append(lane)


def _attempts(delivery: Delivery) -> int:
    """Return how many attempts the current batch has had, including the one that is reported."""
    return (delivery.failures if not delivery.done else 0) + delivery.attempt + 1


def _begin_dead_lettering(delivery: Delivery, failure: LoggedExchange | None, effect: ReportEffect) -> None:
    """Keep only the failed batch, which the ingest loop stores as dead letters."""
    batch, attempts = delivery.batches[delivery.done], _attempts(delivery)
    return_unsent(delivery, delivery.done + 1)
    delivery.stage, delivery.due_at, delivery.claimable_at = DeliveryStage.DEAD_LETTERING, inf, inf
    effect.exhausted_batch = ExhaustedBatch(delivery=delivery, batch=batch, failure=failure, attempts=attempts)
    for lane in delivery.lanes:  # a circuit may have opened under another policy, which no longer applies
        lane.circuit.close()
