"""What the report sender sends to ingest, and when. The store is the one in memory, the clock is the test's."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.delivery_senders import (
    OK,
    PATIENCE_S,
    SenderScene,
    UnreliableCoordination,
    answer,
    batches_of,
    ref,
    wait_for_reports,
)
from tests.harness.metrics import LiveMetrics
from webhookd import clock
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.batching.batch import decode_batches
from webhookd.flow.dispatch.coordination import Publication
from workers.delivery.delivery_sender import DeliverySender
from workers.delivery.report_sender import HEARTBEAT_S, ReportSender

LEASE_S = 5.0
LOST_AFTER_S = 30.0


class SenderHandler:
    """Stands in for the task handler: claims deliveries, starts and ends senders, and notes what reached ingest."""

    def __init__(self) -> None:
        self.senders = SenderScene(budget_s=1e6)
        self.coordination = UnreliableCoordination()
        self.report_sender = ReportSender(
            self.coordination, monotonic=lambda: self.senders.now, lease_s=LEASE_S, lost_after_s=LOST_AFTER_S
        )
        self.answers: SimpleQueue[bool] = SimpleQueue()

    def claimed(self, id_: str = "d1", batches: int = 3) -> DeliverySender:
        """A sender of a claimed delivery, in its first request."""
        one = ref(id_, lane=f"orders/{id_}", count=batches)
        self.coordination.make_claimable([Publication(one, b"payload")])
        self.coordination.claim([one])
        sender = self.senders.sender(
            id_, batches=batches, ended=lambda ended: self.report_sender.sender_ended(ended, self.answers.put)
        )
        sender.ref = one
        sender.advance(None)
        return sender

    def reached(self) -> bool:
        """Whether the next final report reached ingest."""
        return self.answers.get(timeout=PATIENCE_S)


@pytest.fixture
def handler() -> Iterator[SenderHandler]:
    """A handler whose report sender runs."""
    made = SenderHandler()
    made.report_sender.start()
    yield made
    made.report_sender.stop(PATIENCE_S)


def eventually_stopped(sender: DeliverySender) -> bool:
    """Whether another thread stops the sender in time."""
    deadline, pause = clock.monotonic() + PATIENCE_S, Event()
    while not sender.stopped and clock.monotonic() < deadline:
        pause.wait(0.005)
    return sender.stopped


def test_final_report_reaches_ingest_before_the_task_ends(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    handler.report_sender.sender_started(sender)
    sender.advance(OK)
    assert handler.reached()
    reports = wait_for_reports(handler.coordination, 2, but=ReportKind.PROGRESS)
    assert [(report.kind, report.done) for report in reports] == [(ReportKind.STARTED, 0), (ReportKind.FINISHED, 1)]


def test_retry_leaves_the_failed_batch_as_its_payload(handler: SenderHandler) -> None:
    sender = handler.claimed()
    handler.report_sender.sender_started(sender)
    sender.advance(OK)
    sender.advance(answer(500))
    assert handler.reached()
    (payload,) = handler.coordination.claim([ref(attempt=1, lane="orders/d1")])
    assert isinstance(payload, bytes)
    assert decode_batches(payload) == batches_of(3)[1:2]


def test_progress_is_reported_by_itself(handler: SenderHandler) -> None:
    sender = handler.claimed()
    handler.report_sender.sender_started(sender)
    sender.advance(OK)
    assert wait_for_reports(handler.coordination, 2)[1] == Report(ReportKind.PROGRESS, "d1", 0, 1)


def test_waiting_sender_is_reported_too(handler: SenderHandler) -> None:
    sender = handler.claimed()
    handler.report_sender.sender_started(sender)
    handler.senders.now += HEARTBEAT_S
    assert wait_for_reports(handler.coordination, 2)[1] == Report(ReportKind.PROGRESS, "d1", 0, 0, HEARTBEAT_S)


def test_sent_report_renews_the_lease(handler: SenderHandler) -> None:
    sender = handler.claimed()
    lease_end = sender.lease_end
    handler.report_sender.sender_started(sender)
    handler.senders.now += HEARTBEAT_S
    wait_for_reports(handler.coordination, 2)
    sender.advance(answer(500))
    handler.reached()
    assert sender.lease_end == lease_end + HEARTBEAT_S


def test_unsent_report_renews_no_lease(handler: SenderHandler) -> None:
    sender = handler.claimed()
    lease_end = sender.lease_end
    handler.coordination.unavailable = True
    handler.report_sender.sender_started(sender)
    handler.senders.now += HEARTBEAT_S
    for _ in range(3):
        handler.coordination.refusals.get(timeout=PATIENCE_S)
    assert sender.lease_end == lease_end


def test_lost_sender_is_reported_no_more(handler: SenderHandler) -> None:
    lost = handler.claimed("d1")
    handler.report_sender.sender_started(lost)
    handler.senders.now += LOST_AFTER_S
    assert eventually_stopped(lost)
    handler.report_sender.sender_started(handler.claimed("d2"))
    handler.senders.now += HEARTBEAT_S
    found = [(report.delivery, report.kind) for report in wait_for_reports(handler.coordination, 3)]
    assert found == [("d1", ReportKind.STARTED), ("d2", ReportKind.STARTED), ("d2", ReportKind.PROGRESS)]


def test_long_sender_is_reported_until_it_is_lost(handler: SenderHandler) -> None:
    sender = handler.claimed()
    handler.report_sender.sender_started(sender)
    handler.senders.now += LOST_AFTER_S - HEARTBEAT_S
    assert (wait_for_reports(handler.coordination, 2)[1].kind, sender.stopped) == (ReportKind.PROGRESS, False)


def test_another_epoch_stops_the_sender(handler: SenderHandler) -> None:
    sender, other = handler.claimed("d1"), handler.claimed("d2")
    handler.coordination.revoke(["s1/orders/d1"])
    handler.report_sender.sender_started(sender)
    handler.report_sender.sender_started(other)
    assert eventually_stopped(sender)
    assert not other.stopped


def test_final_report_waits_while_the_store_is_down(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.unavailable = True
    sender.advance(OK)
    for _ in range(2):
        handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.coordination.unavailable = False
    assert handler.reached()
    assert wait_for_reports(handler.coordination, 2)[1].kind is ReportKind.FINISHED


def test_final_report_is_given_up_with_its_lease(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.unavailable = True
    sender.advance(OK)
    handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.senders.now += LEASE_S
    assert not handler.reached()


def test_final_reports_arrive_in_order(handler: SenderHandler) -> None:
    senders = [handler.claimed(f"d{number}", batches=1) for number in range(20)]
    for sender in senders:
        sender.advance(OK)
    finals = [
        report.delivery for report in wait_for_reports(handler.coordination, 40) if report.kind is ReportKind.FINISHED
    ]
    assert finals == [f"d{number}" for number in range(20)]


def test_stopping_sends_what_waits(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    sender.advance(OK)
    handler.report_sender.stop(PATIENCE_S)
    assert handler.reached()


def test_stopping_gives_up_what_cannot_be_sent(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.unavailable = True
    sender.advance(OK)
    handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.report_sender.stop(0.0)
    assert not handler.reached()


def test_final_report_after_the_stop_is_answered_at_once(handler: SenderHandler) -> None:
    sender = handler.claimed(batches=1)
    handler.report_sender.stop(PATIENCE_S)
    sender.advance(OK)
    assert not handler.reached()


def test_stopping_senders_ends_the_open_ones(handler: SenderHandler) -> None:
    sender = handler.claimed()
    handler.report_sender.sender_started(sender)
    handler.report_sender.stop_senders()
    assert sender.advance(OK) is None
    assert handler.reached()


ENDED = "webhookd_deliveries_ended_total"


def ends(handler: SenderHandler, live: LiveMetrics) -> dict[str, float]:
    """How many deliveries have ended, by their kind, after the report sender has ended: it counts last."""
    handler.report_sender.stop(PATIENCE_S)
    return {one.labels["kind"]: one.value for one in live.read().series(ENDED)}


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [(OK, "finished"), (answer(500), "retry"), (answer(404), "exhausted"), (answer(410), "gone")],
)
def test_delivery_is_counted_by_the_kind_of_its_report(
    handler: SenderHandler, live_metrics: LiveMetrics, outcome: Outcome, kind: str
) -> None:
    handler.claimed(batches=1).advance(outcome)
    assert handler.reached()
    assert ends(handler, live_metrics) == {kind: 1}


def test_delivery_whose_report_is_given_up_counts_as_unreported(
    handler: SenderHandler, live_metrics: LiveMetrics
) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.unavailable = True
    sender.advance(OK)
    handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.senders.now += LEASE_S
    assert not handler.reached()
    assert ends(handler, live_metrics) == {"unreported": 1}


def test_lost_sender_is_counted(handler: SenderHandler, live_metrics: LiveMetrics) -> None:
    lost = handler.claimed()
    handler.report_sender.sender_started(lost)
    handler.senders.now += LOST_AFTER_S
    handler.claimed("d2", batches=1).advance(OK)
    assert handler.reached()
    assert eventually_stopped(lost)
    assert ends(handler, live_metrics) == {"finished": 1, "lost": 1}


def test_lost_sender_that_ends_later_is_counted_once(handler: SenderHandler, live_metrics: LiveMetrics) -> None:
    lost = handler.claimed(batches=1)
    handler.report_sender.sender_started(lost)
    handler.senders.now += LOST_AFTER_S
    assert eventually_stopped(lost)
    lost.advance(OK)
    assert handler.reached(), "its report is sent all the same"
    assert ends(handler, live_metrics) == {"lost": 1}


def test_answer_to_a_question_is_no_delivery(handler: SenderHandler, live_metrics: LiveMetrics) -> None:
    handler.report_sender.send_final(ref("q1"), Report(ReportKind.VERIFIED, "q1", 0), handler.answers.put)
    assert handler.reached()
    assert ends(handler, live_metrics) == {}
