"""What the reporter brings to ingest, and when; the board is the embedded default's, the clock is moved by hand."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.delivery_senders import OK, PATIENCE_S, ForgetfulBoard, Hands, answer, batches_of, hear, ref
from webhookd import clock
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.batching.batch import decode_batches
from webhookd.flow.dispatch.coordination import Publication
from workers.delivery.delivery_sender import DeliverySender
from workers.delivery.report_sender import HEARTBEAT_S, ReportSender

LEASE_S = 5.0
LONGEST_S = 30.0


class Desk:
    """Stands where the desk stands: claims, opens and ends errands, and hears what reached ingest."""

    def __init__(self) -> None:
        self.hands = Hands(budget_s=1e6)
        self.coordination = ForgetfulBoard()
        self.reporter = ReportSender(
            self.coordination, monotonic=lambda: self.hands.now, lease_s=LEASE_S, longest_s=LONGEST_S
        )
        self.answers: SimpleQueue[bool] = SimpleQueue()

    def claimed(self, id_: str = "d1", batches: int = 3) -> DeliverySender:
        """An errand whose claim is the board's, in its first request."""
        one = ref(id_, lane=f"orders/{id_}", count=batches)
        self.coordination.make_claimable([Publication(one, b"payload")])
        self.coordination.claim([one])
        sender = self.hands.sender(
            id_, batches=batches, ended=lambda ended: self.reporter.ended(ended, self.answers.put)
        )
        sender.ref = one
        sender.advance(None)
        return sender

    def reached(self) -> bool:
        """What the next end heard."""
        return self.answers.get(timeout=PATIENCE_S)


@pytest.fixture
def handler() -> Iterator[Desk]:
    """A desk with a running reporter."""
    made = Desk()
    made.reporter.start()
    yield made
    made.reporter.stop(PATIENCE_S)


def eventually_stopped(sender: DeliverySender) -> bool:
    """Wait for what another thread sets on the errand."""
    deadline, pause = clock.monotonic() + PATIENCE_S, Event()
    while not sender.stopped and clock.monotonic() < deadline:
        pause.wait(0.005)
    return sender.stopped


def test_end_reaches_ingest_before_the_task_ends(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    handler.reporter.opened(sender)
    sender.advance(OK)
    assert handler.reached()
    told = hear(handler.coordination, 2, but=ReportKind.PROGRESS)
    assert [(report.kind, report.done) for report in told] == [(ReportKind.STARTED, 0), (ReportKind.FINISHED, 1)]


def test_retry_leaves_the_failed_batch_as_its_payload(handler: Desk) -> None:
    sender = handler.claimed()
    handler.reporter.opened(sender)
    sender.advance(OK)
    sender.advance(answer(500))
    assert handler.reached()
    (payload,) = handler.coordination.claim([ref(attempt=1, lane="orders/d1")])
    assert isinstance(payload, bytes)
    assert decode_batches(payload) == batches_of(3)[1:2]


def test_progress_is_told_unasked(handler: Desk) -> None:
    sender = handler.claimed()
    handler.reporter.opened(sender)
    sender.advance(OK)
    assert hear(handler.coordination, 2)[1] == Report(ReportKind.PROGRESS, "d1", 0, 1)


def test_waiting_sender_is_told_of_as_well(handler: Desk) -> None:
    sender = handler.claimed()
    handler.reporter.opened(sender)
    handler.hands.now += HEARTBEAT_S
    assert hear(handler.coordination, 2)[1] == Report(ReportKind.PROGRESS, "d1", 0, 0, HEARTBEAT_S)


def test_telling_renews_the_lease(handler: Desk) -> None:
    sender = handler.claimed()
    lease_end = sender.lease_end
    handler.reporter.opened(sender)
    handler.hands.now += HEARTBEAT_S
    hear(handler.coordination, 2)
    sender.advance(answer(500))
    handler.reached()
    assert sender.lease_end == lease_end + HEARTBEAT_S


def test_failed_flush_renews_no_lease(handler: Desk) -> None:
    sender = handler.claimed()
    lease_end = sender.lease_end
    handler.coordination.away = True
    handler.reporter.opened(sender)
    handler.hands.now += HEARTBEAT_S
    for _ in range(3):
        handler.coordination.refusals.get(timeout=PATIENCE_S)
    assert sender.lease_end == lease_end


def test_lost_sender_is_told_of_no_more(handler: Desk) -> None:
    lost = handler.claimed("d1")
    handler.reporter.opened(lost)
    handler.hands.now += LONGEST_S
    assert eventually_stopped(lost)
    handler.reporter.opened(handler.claimed("d2"))
    handler.hands.now += HEARTBEAT_S
    told = [(report.delivery, report.kind) for report in hear(handler.coordination, 3)]
    assert told == [("d1", ReportKind.STARTED), ("d2", ReportKind.STARTED), ("d2", ReportKind.PROGRESS)]


def test_long_sender_is_told_of_until_it_is_lost(handler: Desk) -> None:
    sender = handler.claimed()
    handler.reporter.opened(sender)
    handler.hands.now += LONGEST_S - HEARTBEAT_S
    assert (hear(handler.coordination, 2)[1].kind, sender.stopped) == (ReportKind.PROGRESS, False)


def test_another_epoch_stops_the_sender(handler: Desk) -> None:
    sender, other = handler.claimed("d1"), handler.claimed("d2")
    handler.coordination.revoke(["s1/orders/d1"])
    handler.reporter.opened(sender)
    handler.reporter.opened(other)
    assert eventually_stopped(sender)
    assert not other.stopped


def test_end_waits_while_the_coordination_is_away(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.away = True
    sender.advance(OK)
    for _ in range(2):
        handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.coordination.away = False
    assert handler.reached()
    assert hear(handler.coordination, 2)[1].kind is ReportKind.FINISHED


def test_end_is_given_up_with_its_lease(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.away = True
    sender.advance(OK)
    handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.hands.now += LEASE_S
    assert not handler.reached()


def test_ends_arrive_in_their_order(handler: Desk) -> None:
    senders = [handler.claimed(f"d{number}", batches=1) for number in range(20)]
    for sender in senders:
        sender.advance(OK)
    finals = [report.delivery for report in hear(handler.coordination, 40) if report.kind is ReportKind.FINISHED]
    assert finals == [f"d{number}" for number in range(20)]


def test_stopping_flushes_what_waits(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    sender.advance(OK)
    handler.reporter.stop(PATIENCE_S)
    assert handler.reached()


def test_stopping_gives_up_what_the_coordination_does_not_take(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    handler.coordination.away = True
    sender.advance(OK)
    handler.coordination.refusals.get(timeout=PATIENCE_S)
    handler.reporter.stop(0.0)
    assert not handler.reached()


def test_end_after_the_stop_keeps_nobody_waiting(handler: Desk) -> None:
    sender = handler.claimed(batches=1)
    handler.reporter.stop(PATIENCE_S)
    sender.advance(OK)
    assert not handler.reached()


def test_stopping_all_ends_open_senders(handler: Desk) -> None:
    sender = handler.claimed()
    handler.reporter.opened(sender)
    handler.reporter.stop_all()
    assert sender.advance(OK) is None
    assert handler.reached()
