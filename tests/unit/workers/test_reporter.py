"""What the reporter brings to ingest, and when; the board is the embedded default's, the clock is moved by hand."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.errands import OK, PATIENCE_S, ForgetfulBoard, Hands, answer, batches_of, hear, ticket
from webhookd import clock
from webhookd.flow.board import Offer
from webhookd.flow.report import Kind, Report
from webhookd.flow.ticket import decode_batches
from workers.errand import DeliveryErrand
from workers.reporter import HEARTBEAT_S, Reporter

LEASE_S = 5.0
LONGEST_S = 30.0


class Desk:
    """Stands where the desk stands: claims, opens and ends errands, and hears what reached ingest."""

    def __init__(self) -> None:
        self.hands = Hands(budget_s=1e6)
        self.board = ForgetfulBoard()
        self.reporter = Reporter(self.board, monotonic=lambda: self.hands.now, lease_s=LEASE_S, longest_s=LONGEST_S)
        self.answers: SimpleQueue[bool] = SimpleQueue()

    def claimed(self, id_: str = "d1", batches: int = 3) -> DeliveryErrand:
        """An errand whose claim is the board's, in its first request."""
        one = ticket(id_, lane=f"orders/{id_}", count=batches)
        self.board.offer([Offer(one, b"payload")])
        self.board.claim([one])
        errand = self.hands.errand(
            id_, batches=batches, ended=lambda ended: self.reporter.ended(ended, self.answers.put)
        )
        errand.ticket = one
        errand.advance(None)
        return errand

    def reached(self) -> bool:
        """What the next end heard."""
        return self.answers.get(timeout=PATIENCE_S)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk with a running reporter."""
    made = Desk()
    made.reporter.start()
    yield made
    made.reporter.stop(PATIENCE_S)


def eventually_stopped(errand: DeliveryErrand) -> bool:
    """Wait for what another thread sets on the errand."""
    deadline, pause = clock.monotonic() + PATIENCE_S, Event()
    while not errand.stopped and clock.monotonic() < deadline:
        pause.wait(0.005)
    return errand.stopped


def test_end_reaches_ingest_before_the_task_ends(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    desk.reporter.opened(errand)
    errand.advance(OK)
    assert desk.reached()
    told = hear(desk.board, 2, but=Kind.PROGRESS)
    assert [(report.kind, report.done) for report in told] == [(Kind.STARTED, 0), (Kind.FINISHED, 1)]


def test_retry_leaves_the_failed_batch_as_its_payload(desk: Desk) -> None:
    errand = desk.claimed()
    desk.reporter.opened(errand)
    errand.advance(OK)
    errand.advance(answer(500))
    assert desk.reached()
    (payload,) = desk.board.claim([ticket(attempt=1, lane="orders/d1")])
    assert isinstance(payload, bytes)
    assert decode_batches(payload) == batches_of(3)[1:2]


def test_progress_is_told_unasked(desk: Desk) -> None:
    errand = desk.claimed()
    desk.reporter.opened(errand)
    errand.advance(OK)
    assert hear(desk.board, 2)[1] == Report(Kind.PROGRESS, "d1", 0, 1)


def test_waiting_errand_is_told_of_as_well(desk: Desk) -> None:
    errand = desk.claimed()
    desk.reporter.opened(errand)
    desk.hands.now += HEARTBEAT_S
    assert hear(desk.board, 2)[1] == Report(Kind.PROGRESS, "d1", 0, 0, HEARTBEAT_S)


def test_telling_renews_the_lease(desk: Desk) -> None:
    errand = desk.claimed()
    lease_end = errand.lease_end
    desk.reporter.opened(errand)
    desk.hands.now += HEARTBEAT_S
    hear(desk.board, 2)
    errand.advance(answer(500))
    desk.reached()
    assert errand.lease_end == lease_end + HEARTBEAT_S


def test_failed_flush_renews_no_lease(desk: Desk) -> None:
    errand = desk.claimed()
    lease_end = errand.lease_end
    desk.board.away = True
    desk.reporter.opened(errand)
    desk.hands.now += HEARTBEAT_S
    for _ in range(3):
        desk.board.refusals.get(timeout=PATIENCE_S)
    assert errand.lease_end == lease_end


def test_lost_errand_is_told_of_no_more(desk: Desk) -> None:
    lost = desk.claimed("d1")
    desk.reporter.opened(lost)
    desk.hands.now += LONGEST_S
    assert eventually_stopped(lost)
    desk.reporter.opened(desk.claimed("d2"))
    desk.hands.now += HEARTBEAT_S
    told = [(report.delivery, report.kind) for report in hear(desk.board, 3)]
    assert told == [("d1", Kind.STARTED), ("d2", Kind.STARTED), ("d2", Kind.PROGRESS)]


def test_long_errand_is_told_of_until_it_is_lost(desk: Desk) -> None:
    errand = desk.claimed()
    desk.reporter.opened(errand)
    desk.hands.now += LONGEST_S - HEARTBEAT_S
    assert (hear(desk.board, 2)[1].kind, errand.stopped) == (Kind.PROGRESS, False)


def test_another_epoch_stops_the_errand(desk: Desk) -> None:
    errand, other = desk.claimed("d1"), desk.claimed("d2")
    desk.board.revoke(["s1/orders/d1"])
    desk.reporter.opened(errand)
    desk.reporter.opened(other)
    assert eventually_stopped(errand)
    assert not other.stopped


def test_end_waits_while_the_board_is_away(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    desk.board.away = True
    errand.advance(OK)
    for _ in range(2):
        desk.board.refusals.get(timeout=PATIENCE_S)
    desk.board.away = False
    assert desk.reached()
    assert hear(desk.board, 2)[1].kind is Kind.FINISHED


def test_end_is_given_up_with_its_lease(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    desk.board.away = True
    errand.advance(OK)
    desk.board.refusals.get(timeout=PATIENCE_S)
    desk.hands.now += LEASE_S
    assert not desk.reached()


def test_ends_arrive_in_their_order(desk: Desk) -> None:
    errands = [desk.claimed(f"d{number}", batches=1) for number in range(20)]
    for errand in errands:
        errand.advance(OK)
    finals = [report.delivery for report in hear(desk.board, 40) if report.kind is Kind.FINISHED]
    assert finals == [f"d{number}" for number in range(20)]


def test_stopping_flushes_what_waits(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    errand.advance(OK)
    desk.reporter.stop(PATIENCE_S)
    assert desk.reached()


def test_stopping_gives_up_what_the_board_does_not_take(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    desk.board.away = True
    errand.advance(OK)
    desk.board.refusals.get(timeout=PATIENCE_S)
    desk.reporter.stop(0.0)
    assert not desk.reached()


def test_end_after_the_stop_keeps_nobody_waiting(desk: Desk) -> None:
    errand = desk.claimed(batches=1)
    desk.reporter.stop(PATIENCE_S)
    errand.advance(OK)
    assert not desk.reached()


def test_stopping_all_ends_open_errands(desk: Desk) -> None:
    errand = desk.claimed()
    desk.reporter.opened(errand)
    desk.reporter.stop_all()
    assert errand.advance(OK) is None
    assert desk.reached()
