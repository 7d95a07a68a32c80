"""What a report about a delivery changes in its lanes: settled records, measurements, pauses and unsent batches."""

from collections.abc import Iterable

from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.dispatch.delivery import Delivery, Lane

SLOW_EXCHANGE_S = 0.15
"""A lane whose exchanges take longer, twice in a row, is sent in a task of its own, so that it does not delay the other
lanes in the task."""


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


def record_timings(delivery: Delivery, report: Report) -> None:
    """Measure latency and throughput; decide whether the lanes get tasks of their own."""
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


def return_unsent(delivery: Delivery, first: int) -> None:
    """Put the batches from `first` on back into their lane, and give back their tokens.

    A mixed delivery has a single batch, which is settled, tried again or read again as a whole.
    """
    unsent = delivery.batches[first:]
    del delivery.batches[first:]
    if delivery.pace is not None:
        delivery.pace.give_back(unsent)
    if unsent and delivery.records_per_lane is None:
        delivery.lanes[0].put_back(unsent)
