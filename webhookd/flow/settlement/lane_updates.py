"""What a report about a delivery changes in its lanes: settled records, measurements, pauses and unsent batches."""

from collections.abc import Iterable

from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.attempt.judge import SLOW_DOWN
from webhookd.flow.dispatch.delivery import Delivery, Lane

SLOW_EXCHANGE_S = 0.15
"""A lane whose exchanges take longer, twice in a row, is sent in a task of its own, so that it does not delay the other
lanes in the task."""

SHORTEST_COOLDOWN_S, LONGEST_COOLDOWN_S = 0.1, 10.0
"""The pause between two deliveries of a lane after 429 or 503: doubled with each of them, halved with each success."""


def due_probes(lanes: Iterable[Lane], now: float) -> list[Lane]:
    """The lanes whose probe is due; their circuits become half-open."""
    return [lane for lane in lanes if lane.circuit.half_open_if_due(now)]


def settle_acknowledged(delivery: Delivery, done: int, now: float) -> int:
    """Settle the batches up to `done`, which the endpoint acknowledged; returns how many records are new among them."""
    records = settle(delivery, done)
    if records:
        for lane in delivery.lanes:
            lane.circuit.end_failing()
            lane.endpoint_latency.succeeded_at = now
    return records


def settle(delivery: Delivery, done: int) -> int:
    """Settle the batches up to `done`, acknowledged or dead-lettered; returns how many records are new among them."""
    settled = delivery.batches[delivery.done : done]
    if not settled:
        return 0
    delivery.done += len(settled)
    records = sum(batch.records for batch in settled)
    if delivery.records_per_lane is None:
        delivery.lanes[0].settle(records, sum(len(batch.body) for batch in settled))
    else:
        for lane, share in zip(delivery.lanes, delivery.records_per_lane, strict=True):
            lane.settle(share, 0)
    return records


def begin_failing(lane: Lane, failure: LoggedExchange | None) -> None:
    """Note when the endpoint began to fail; does nothing without a failure."""
    if failure is not None:
        lane.circuit.begin_failing(failure.at)


def record_timings(delivery: Delivery, report: Report, now: float) -> None:
    """Measure latency and throughput; decide whether the lanes pause and whether they get tasks of their own."""
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
    """Delay the next delivery, and shorten the pause after it."""
    lane.dispatch_not_before = now + lane.cool_down_s
    lane.cool_down_s = lane.cool_down_s / 2 if lane.cool_down_s > SHORTEST_COOLDOWN_S else 0.0


def return_unsent(delivery: Delivery, first: int) -> None:
    """Put the batches from `first` on back into their lane.

    A mixed delivery has a single batch, which is settled, tried again or read again as a whole.
    """
    unsent = delivery.batches[first:]
    del delivery.batches[first:]
    if unsent and delivery.records_per_lane is None:
        delivery.lanes[0].put_back(unsent)
