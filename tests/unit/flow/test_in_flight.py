"""Deliveries in flight: each row of the table in `in_flight`, duplicates, old attempts and overdue deliveries."""

import pytest

from tests.harness.deliveries_in_flight import LEASE_S, Scene, scene
from tests.harness.lanes import (
    FAILED,
    TIMEOUTS,
    TOPIC,
    WANTED,
    about,
    accumulator,
    fill,
    in_flight_deliveries,
    lane_of,
    offsets_of,
    records,
)
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.dispatch.delivery import DeliveryStage
from webhookd.flow.offsets.position import Partition
from webhookd.flow.settlement.in_flight import ReportEffect
from webhookd.flow.settlement.lane_updates import due_probes


def mixed_scene() -> Scene:
    return scene(lanes=2, records=2, size=4)


def test_started_claims_and_begins_the_lease() -> None:
    at = scene()
    at.report(ReportKind.STARTED, now=3.0)
    assert (at.delivery.stage, at.delivery.due_at) == (DeliveryStage.CLAIMED, 3.0 + LEASE_S)


def test_progress_settles_and_renews_the_lease() -> None:
    at = scene()
    effect = at.report(ReportKind.PROGRESS, done=2, now=4.0)
    assert (effect.delivered, at.lane.ledger.watermark, at.delivery.due_at) == (2, 2, 4.0 + LEASE_S)
    assert at.lane.delivery is at.delivery


def test_finished_settles_and_frees_the_lane() -> None:
    at = scene()
    effect = at.report(ReportKind.FINISHED, done=4)
    assert (effect.delivered, effect.lanes_freed, effect.reread) == (4, True, [])
    assert (at.lane.ledger.watermark, at.lane.can_dispatch, at.lane.buffered_bytes, len(at.in_flight)) == (
        4,
        True,
        0,
        0,
    )


def test_finished_early_puts_unsent_batches_back() -> None:
    at = scene()
    at.report(ReportKind.FINISHED, done=1)
    (again,) = at.accumulator.ready(0.0)
    assert offsets_of(again) == [[1], [2], [3]]


def test_retry_keeps_the_failed_batch_only() -> None:
    at = scene()
    effect = at.report(ReportKind.RETRY, done=1, now=2.0, wait_s=30.0)
    assert (effect.delivered, effect.lanes_freed) == (1, False)
    assert (at.delivery.stage, at.delivery.attempt) == (DeliveryStage.RETRYING, 1)
    assert [batch.records for batch in at.delivery.batches[at.delivery.done :]] == [1]
    assert len(at.lane.returned) == 2


def test_waiting_retry_keeps_its_lane_from_dispatching() -> None:
    at = scene()
    at.report(ReportKind.RETRY, done=1, wait_s=30.0)
    assert at.accumulator.ready(99.0) == []


def test_failing_lane_is_sent_alone() -> None:
    at = scene()
    at.report(ReportKind.RETRY, done=1)
    assert at.lane.send_alone


def test_quick_success_ends_sending_alone() -> None:
    at = scene()
    at.report(ReportKind.RETRY, done=0)
    at.report(ReportKind.FINISHED, done=1)
    assert not at.lane.send_alone


def test_lane_is_sent_alone_after_two_slow_successes() -> None:
    at = scene()
    at.in_flight.apply(about(at.delivery, ReportKind.FINISHED, 1, sending_s=0.4), 1.0)
    once = at.lane.send_alone
    (again,) = at.accumulator.ready(2.0)
    at.in_flight.published(again, 2.0)
    at.in_flight.apply(about(again, ReportKind.FINISHED, 1, sending_s=0.4), 3.0)
    assert (once, at.lane.send_alone) == (False, True)


@pytest.mark.parametrize(
    ("kind", "pause_s"), [(ReportKind.STALE, 0.5), (ReportKind.UNREADABLE, 5.0), (ReportKind.UNUSABLE, 5.0)]
)
def test_lane_of_an_unsent_delivery_pauses_before_it_dispatches_again(kind: ReportKind, pause_s: float) -> None:
    at = scene()
    at.in_flight.apply(about(at.delivery, kind, 0), 1.0)
    at.lane.take(records(0, 1, 2, 3), WANTED, 1.0)
    assert at.accumulator.ready(1.0 + pause_s / 2) == []
    assert len(at.accumulator.ready(1.0 + pause_s)) == 1


def test_retry_that_succeeds_frees_the_lane() -> None:
    at = scene()
    at.report(ReportKind.RETRY, done=1)
    effect = at.report(ReportKind.FINISHED, done=1)
    (again,) = at.accumulator.ready(0.0)
    assert (effect.delivered, at.lane.ledger.watermark, offsets_of(again)) == (1, 2, [[2], [3]])


def test_retry_after_retry_counts_attempts() -> None:
    at = scene()
    for _ in range(3):
        at.report(ReportKind.RETRY, done=0)
    assert (at.delivery.attempt, at.lane.ledger.watermark, len(at.lane.returned)) == (3, 0, 3)


def test_exhausted_opens_the_circuit_and_rewinds_the_lane() -> None:
    at = scene()
    effect = at.report(ReportKind.EXHAUSTED, done=1, now=2.0)
    assert (effect.delivered, effect.opened_circuits, effect.reread) == (1, [at.lane], [(at.lane, 1)])
    assert (at.lane.circuit.state, at.lane.circuit.probe_at, at.lane.buffered_bytes, at.lane.can_dispatch) == (
        CircuitState.OPEN,
        32.0,
        0,
        False,
    )


def test_open_circuit_is_probed_when_due() -> None:
    at = scene()
    at.report(ReportKind.EXHAUSTED, now=2.0)
    assert due_probes([at.lane], 31.9) == []
    assert due_probes([at.lane], 32.0) == [at.lane]
    assert at.lane.circuit.state is CircuitState.HALF_OPEN


def test_probes_fail_at_growing_intervals() -> None:
    at, waits = scene(), []
    at.report(ReportKind.EXHAUSTED)
    for now in (1e3, 2e3, 3e3):
        (lane,) = due_probes([at.lane], now)
        fill(at.accumulator, 0, range(4))
        (probe,) = at.accumulator.ready(now)
        at.in_flight.published(probe, now)
        at.in_flight.apply(about(probe, ReportKind.EXHAUSTED, failure=FAILED), now)
        waits.append(lane.circuit.probe_at - now)
    assert waits == [60.0, 120.0, 240.0]


def test_probe_that_succeeds_closes_the_circuit() -> None:
    at = scene()
    at.report(ReportKind.EXHAUSTED)
    due_probes([at.lane], 1e6)
    fill(at.accumulator, 0, range(4))
    (probe,) = at.accumulator.ready(1e6)
    at.in_flight.published(probe, 1e6)
    effect = at.in_flight.apply(about(probe, ReportKind.FINISHED, 1), 1e6)
    assert (effect.closed_circuits, at.lane.circuit.state, at.lane.circuit.failed_probes) == (
        [at.lane],
        CircuitState.CLOSED,
        0,
    )


def test_stale_rewinds_under_a_new_epoch() -> None:
    at = scene()
    epoch = at.lane.epoch
    effect = at.report(ReportKind.STALE)
    assert (effect.reread, effect.lanes_freed, at.lane.epoch != epoch) == ([(at.lane, 0)], True, True)
    assert (at.lane.circuit.state, len(at.in_flight)) == (CircuitState.CLOSED, 0)


@pytest.mark.parametrize("kind", [ReportKind.PROGRESS, ReportKind.RETRY, ReportKind.FINISHED, ReportKind.EXHAUSTED])
def test_second_copy_of_a_report_settles_nothing(kind: ReportKind) -> None:
    at = scene()
    report = about(at.delivery, kind, 2, failure=FAILED)
    at.in_flight.apply(report, 1.0)
    assert at.in_flight.apply(report, 1.0).delivered == 0
    assert at.lane.ledger.watermark == 2


def test_older_progress_settles_nothing_twice() -> None:
    at = scene()
    at.report(ReportKind.PROGRESS, done=3)
    assert at.report(ReportKind.PROGRESS, done=1).delivered == 0
    assert at.report(ReportKind.FINISHED, done=4).delivered == 1


def test_report_of_an_old_attempt_changes_nothing() -> None:
    at = scene()
    old = about(at.delivery, ReportKind.EXHAUSTED, failure=FAILED)
    at.report(ReportKind.RETRY, done=0)
    assert at.in_flight.apply(old, 1.0) == ReportEffect()
    assert at.delivery.stage is DeliveryStage.RETRYING


def test_report_of_an_ended_delivery_changes_nothing() -> None:
    at = scene()
    at.report(ReportKind.STALE)
    assert at.report(ReportKind.FINISHED, done=4) == ReportEffect()
    assert at.lane.ledger.watermark == 0


def test_report_under_an_older_epoch_ends_the_delivery() -> None:
    at = scene()
    at.lane.rewind("newer")
    assert at.report(ReportKind.FINISHED, done=4) == ReportEffect()
    assert (at.lane.ledger.watermark, len(at.in_flight)) == (0, 0)


def test_unclaimed_delivery_is_published_again() -> None:
    at = scene()
    assert at.in_flight.overdue(TIMEOUTS.claim_timeout_s - 0.1) == ([], [])
    assert at.in_flight.overdue(TIMEOUTS.claim_timeout_s) == ([at.delivery], [])


def test_publications_wait_twice_as_long_each_time() -> None:
    at, waits = scene(), []
    for _ in range(7):
        at.in_flight.published(at.delivery, 0.0)
        waits.append(at.delivery.due_at)
    assert waits == [20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_delivery_of_a_silent_worker_is_lost() -> None:
    at = scene()
    at.report(ReportKind.STARTED, now=1.0)
    assert at.in_flight.overdue(1.0 + LEASE_S) == ([], [at.delivery])


def test_retry_is_lost_only_after_its_countdown() -> None:
    at = scene()
    at.report(ReportKind.RETRY, now=1.0, wait_s=600.0)
    until = 1.0 + 600.0 + TIMEOUTS.claim_timeout_s + LEASE_S
    assert at.in_flight.overdue(until - 0.1) == ([], [])
    assert at.in_flight.overdue(until) == ([], [at.delivery])


def test_claimed_retry_has_a_lease_of_its_own() -> None:
    at = scene()
    at.report(ReportKind.RETRY, now=1.0, wait_s=600.0)
    at.report(ReportKind.STARTED, now=601.0)
    assert at.in_flight.overdue(601.0 + LEASE_S) == ([], [at.delivery])


def test_overdue_drops_deliveries_of_older_epochs() -> None:
    at = scene()
    at.lane.rewind("newer")
    assert at.in_flight.overdue(1e9) == ([], [])
    assert len(at.in_flight) == 0


def test_rewinding_reads_again_from_the_watermark() -> None:
    at, effect = scene(), ReportEffect()
    at.report(ReportKind.PROGRESS, done=3)
    at.in_flight.rewind(at.delivery, effect)
    assert (effect.reread, at.lane.can_dispatch, at.lane.buffered_bytes) == ([(at.lane, 3)], True, 0)


def test_mixed_batch_settles_each_lanes_share() -> None:
    at = mixed_scene()
    effect = at.report(ReportKind.FINISHED, done=1)
    assert effect.delivered == 4
    assert [
        (lane.ledger.watermark, lane.buffered_bytes, lane.can_dispatch) for lane in at.accumulator.lanes.values()
    ] == [(2, 0, True)] * 2


def test_mixed_batch_that_was_not_sent_is_read_again() -> None:
    at = mixed_scene()
    effect = at.report(ReportKind.FINISHED, done=0)
    assert effect.reread == [(lane, 0) for lane in at.accumulator.lanes.values()]
    assert [lane.can_dispatch for lane in at.accumulator.lanes.values()] == [True, True]


def test_mixed_batch_is_retried_as_a_whole() -> None:
    at = mixed_scene()
    at.report(ReportKind.RETRY, done=0)
    assert at.report(ReportKind.FINISHED, done=1).delivered == 4


def test_exhausted_mixed_batch_opens_every_circuit() -> None:
    at = mixed_scene()
    assert at.report(ReportKind.EXHAUSTED).opened_circuits == list(at.accumulator.lanes.values())


def test_mixed_batch_is_overdue_when_it_loses_a_lane() -> None:
    at = mixed_scene()
    at.accumulator.close_lane(Partition(TOPIC, 1))
    assert at.in_flight.overdue(0.0) == ([], [at.delivery])


def test_mixed_batch_goes_on_when_its_worker_reports() -> None:
    at = mixed_scene()
    at.accumulator.close_lane(Partition(TOPIC, 1))
    at.report(ReportKind.FINISHED, done=1)
    assert (at.lane.ledger.watermark, at.lane.can_dispatch) == (2, True)


def test_measured_throughput_sizes_the_next_delivery() -> None:
    at = scene()
    at.in_flight.apply(about(at.delivery, ReportKind.FINISHED, 4, sending_s=8.0), 9.0)
    assert at.lane.throughput.batches_per_delivery() == 1


def test_mixed_batch_does_not_count_for_throughput() -> None:
    at = mixed_scene()
    before = at.lane.throughput.batches_per_delivery()
    at.in_flight.apply(about(at.delivery, ReportKind.FINISHED, 1, sending_s=8.0, success=LoggedExchange(0.0, "m")), 9.0)
    assert at.lane.throughput.batches_per_delivery() == before


def test_probe_wait_has_jitter() -> None:
    made, in_flight = accumulator(), in_flight_deliveries(chance=0.0)
    fill(made, 0, [1])
    (delivery,) = made.ready(0.0)
    in_flight.published(delivery, 0.0)
    in_flight.apply(about(delivery, ReportKind.EXHAUSTED, failure=FAILED), 0.0)
    assert lane_of(made).circuit.probe_at == pytest.approx(24.0)
