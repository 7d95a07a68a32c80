"""One suite for the board in memory and the board in Redis.

Oracles: a real Redis, under a key prefix of the test's own; the table in the docstring of `flow/board.py`. What only
Redis can do (lose everything, be away) is asked of Redis alone.
"""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from tests.harness.boards import Board, lose_everything
from webhookd import clock
from webhookd.edges.redis_board import RedisBoard
from webhookd.errors import QueueUnavailable
from webhookd.flow.board import Denied, Flush, Offer, payload_key
from webhookd.flow.report import Kind, Report, encode
from webhookd.flow.ticket import Ticket

PATIENCE_S = 5.0
REPLY = "ingest-1"


def ticket(id_: str = "d1", *, epoch: str = "e1", attempt: int = 0, lanes: tuple[str, ...] = ("orders/0",)) -> Ticket:
    return Ticket(
        id=id_,
        subscription="s1",
        version=1,
        lanes=dict.fromkeys(lanes, epoch),
        attempt=attempt,
        records=1,
        batches=1,
        reply=REPLY,
    )


def offered(board: Board, *tickets: Ticket, payload: bytes = b"payload") -> None:
    board.offer([Offer(one, payload) for one in tickets])


def claimed(board: Board, one: Ticket) -> bytes | Denied:
    (answer,) = board.claim([one])
    return answer


def heard(board: Board, after: str = "0", reply: str = REPLY) -> tuple[list[Report], str]:
    return board.reports(reply, after, PATIENCE_S)


def finished(id_: str) -> Report:
    return Report(Kind.FINISHED, id_, 0, 1)


def test_offered_delivery_is_claimed_with_its_payload(board: Board) -> None:
    offered(board, ticket(), payload=b"\x00bytes\xff")
    assert claimed(board, ticket()) == b"\x00bytes\xff"


def test_empty_payload_is_a_payload(board: Board) -> None:
    offered(board, ticket(), payload=b"")
    assert claimed(board, ticket()) == b""


def test_second_copy_finds_it_taken(board: Board) -> None:
    offered(board, ticket())
    claimed(board, ticket())
    assert claimed(board, ticket()) is Denied.TAKEN


def test_offering_again_keeps_the_claim(board: Board) -> None:
    offered(board, ticket())
    claimed(board, ticket())
    offered(board, ticket())
    assert claimed(board, ticket()) is Denied.TAKEN


def test_offering_again_before_a_claim_changes_nothing(board: Board) -> None:
    offered(board, ticket())
    offered(board, ticket())
    assert claimed(board, ticket()) == b"payload"


@pytest.mark.parametrize("epoch", ["e2", "e", "e11", ""])
def test_another_epoch_is_stale(board: Board, epoch: str) -> None:
    offered(board, ticket())
    assert claimed(board, ticket(epoch=epoch)) is Denied.STALE


def test_newer_epoch_makes_the_older_stale(board: Board) -> None:
    offered(board, ticket())
    offered(board, ticket("d2", epoch="e2"))
    assert claimed(board, ticket()) is Denied.STALE


def test_next_delivery_makes_the_one_before_stale(board: Board) -> None:
    offered(board, ticket())
    offered(board, ticket("d2"))
    assert (claimed(board, ticket()), claimed(board, ticket("d2"))) == (Denied.STALE, b"payload")


def test_unknown_lane_is_stale(board: Board) -> None:
    assert claimed(board, ticket()) is Denied.STALE


def test_lost_payload_is_stale(board: Board) -> None:
    offered(board, ticket())
    board.flush(Flush(reports={}, drop=[payload_key("d1", 0)]))
    assert claimed(board, ticket()) is Denied.STALE


def test_mixed_delivery_claims_all_its_lanes(board: Board) -> None:
    both = ticket(lanes=("orders/0", "orders/1"))
    offered(board, both)
    assert claimed(board, both) == b"payload"
    assert claimed(board, both) is Denied.TAKEN


@pytest.mark.parametrize("moved", ["orders/0", "orders/1"])
def test_mixed_delivery_claims_all_or_nothing(board: Board, moved: str) -> None:
    both = ticket(lanes=("orders/0", "orders/1"))
    (other,) = {"orders/0", "orders/1"} - {moved}
    offered(board, both)
    offered(board, ticket("d2", lanes=(moved,)))
    assert claimed(board, both) is Denied.STALE
    offered(board, ticket("d3", lanes=(other,)))
    assert claimed(board, ticket("d3", lanes=(other,))) == b"payload"


@pytest.mark.parametrize("moved", ["orders/0", "orders/1"])
def test_claimed_mixed_delivery_that_lost_a_lane_is_stale(board: Board, moved: str) -> None:
    both = ticket(lanes=("orders/0", "orders/1"))
    offered(board, both)
    claimed(board, both)
    offered(board, ticket("d2", lanes=(moved,)))
    assert claimed(board, both) is Denied.STALE


def test_parcel_is_answered_in_its_order(board: Board) -> None:
    tickets = [ticket(f"d{number}", lanes=(f"orders/{number}",)) for number in range(5)]
    offered(board, *tickets[:3])
    board.claim(tickets[1:2])
    answers = board.claim(tickets)
    assert answers == [b"payload", Denied.TAKEN, b"payload", Denied.STALE, Denied.STALE]


def test_payloads_of_one_call_stay_apart(board: Board) -> None:
    tickets = [ticket(f"d{number}", lanes=(f"orders/{number}",)) for number in range(3)]
    board.offer([Offer(one, one.id.encode()) for one in tickets])
    assert board.claim(tickets) == [b"d0", b"d1", b"d2"]


def test_retry_claims_with_its_own_payload(board: Board) -> None:
    offered(board, ticket())
    claimed(board, ticket())
    board.flush(Flush(reports={}, drop=[payload_key("d1", 0)], keep={payload_key("d1", 1): b"failed batch"}))
    assert claimed(board, ticket(attempt=1)) == b"failed batch"
    assert claimed(board, ticket(attempt=1)) is Denied.TAKEN
    assert claimed(board, ticket(attempt=0)) is Denied.TAKEN


def test_retry_before_its_first_attempt_is_denied(board: Board) -> None:
    offered(board, ticket())
    board.flush(Flush(reports={}, keep={payload_key("d1", 1): b"failed batch"}))
    assert isinstance(claimed(board, ticket(attempt=1)), Denied)
    assert claimed(board, ticket()) == b"payload"


def test_retry_without_its_payload_is_stale(board: Board) -> None:
    offered(board, ticket())
    claimed(board, ticket())
    assert claimed(board, ticket(attempt=1)) is Denied.STALE


def test_revoked_lane_is_stale(board: Board) -> None:
    offered(board, ticket(), ticket("d2", lanes=("orders/1",)))
    board.revoke(["s1/orders/0", "s1/unknown/9"])
    assert claimed(board, ticket()) is Denied.STALE
    assert claimed(board, ticket("d2", lanes=("orders/1",))) == b"payload"


def test_revoking_nothing_is_allowed(board: Board) -> None:
    board.revoke([])


def test_current_says_which_deliveries_are_waited_for(board: Board) -> None:
    claimed_one, mixed, gone = ticket(), ticket("d2", lanes=("orders/1", "orders/2")), ticket("d3", lanes=("x/0",))
    offered(board, claimed_one, mixed)
    claimed(board, claimed_one)
    assert board.current([claimed_one, mixed, gone]) == [True, True, False]
    offered(board, ticket("d4", lanes=("orders/2",)))
    assert board.current([gone, mixed, claimed_one]) == [False, False, True]


def test_claims_are_reported_as_started(board: Board) -> None:
    tickets = [ticket(f"d{number}", lanes=(f"orders/{number}",)) for number in range(3)]
    offered(board, *tickets[:2])
    board.claim(tickets)
    reports, _ = heard(board)
    assert reports == [Report(Kind.STARTED, "d0", 0), Report(Kind.STARTED, "d1", 0)]


def test_denied_claims_are_not_reported(board: Board) -> None:
    board.claim([ticket()])
    assert board.reports(REPLY, "0", 0.01) == ([], "0")


def test_reports_arrive_whole_and_in_order(board: Board) -> None:
    first, second = [finished("d1"), Report(Kind.RETRY, "d2", 3, 1, 0.5, 30.0)], [finished("d3")]
    board.flush(Flush(reports={REPLY: first}))
    board.flush(Flush(reports={REPLY: second}))
    assert heard(board)[0] == first + second


def test_each_ingest_hears_its_own_reports(board: Board) -> None:
    board.flush(Flush(reports={REPLY: [finished("d1")], "ingest-2": [finished("d2")]}))
    assert heard(board)[0] == [finished("d1")]
    assert heard(board, reply="ingest-2")[0] == [finished("d2")]


def test_nothing_is_heard_twice(board: Board) -> None:
    board.flush(Flush(reports={REPLY: [finished("d1")]}))
    _, after = heard(board)
    assert board.reports(REPLY, after, 0.01) == ([], after)
    board.flush(Flush(reports={REPLY: [finished("d2")]}))
    assert heard(board, after)[0] == [finished("d2")]


def test_many_flushes_are_heard_one_after_another(board: Board) -> None:
    for number in range(1200):
        board.flush(Flush(reports={REPLY: [finished(f"d{number}")]}))
    found: list[Report] = []
    after = "0"
    while len(found) < 1200:
        reports, after = heard(board, after)
        assert reports
        found += reports
    assert [report.delivery for report in found] == [f"d{number}" for number in range(1200)]


def test_waiting_ends_with_the_first_report(board: Board) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(board.reports, REPLY, "0", 2.0)
        board.flush(Flush(reports={REPLY: [finished("d1")]}))
        assert answer.result(PATIENCE_S)[0] == [finished("d1")]


def test_waiting_ends_without_a_report(board: Board) -> None:
    began = clock.monotonic()
    assert board.reports(REPLY, "0", 0.05) == ([], "0")
    assert clock.monotonic() - began >= 0.04


def test_flush_is_one_step(board: Board) -> None:
    """Whoever hears of the retry finds its payload."""
    offered(board, ticket())
    claimed(board, ticket())
    _, after = heard(board)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(board.reports, REPLY, after, 2.0)
        board.flush(
            Flush(reports={REPLY: [Report(Kind.RETRY, "d1", 0)]}, keep={payload_key("d1", 1): b"again"}, drop=["d1.0"])
        )
        assert answer.result(PATIENCE_S)[0] == [Report(Kind.RETRY, "d1", 0)]
    assert claimed(board, ticket(attempt=1)) == b"again"


def test_of_many_copies_exactly_one_wins(board: Board) -> None:
    rounds, copies = 20, 8
    gate = threading.Barrier(copies)

    def race(one: Ticket) -> bytes | Denied:
        gate.wait(PATIENCE_S)
        return claimed(board, one)

    with ThreadPoolExecutor(copies) as pool:
        for number in range(rounds):
            one = ticket(f"d{number}")
            offered(board, one)
            answers = [future.result(PATIENCE_S) for future in [pool.submit(race, one) for _ in range(copies)]]
            assert sorted(map(str, answers)) == sorted([str(b"payload"), *[str(Denied.TAKEN)] * (copies - 1)])


def test_clock_of_the_board_goes_on(board: Board) -> None:
    first, second = board.now(), board.now()
    assert first <= second < first + PATIENCE_S


def test_ping_answers(board: Board) -> None:
    board.ping()


@pytest.mark.parametrize("when", ["offered", "claimed"])
def test_redis_that_lost_everything_makes_stale(
    redis_board: RedisBoard, redis_url: str, prefix: str, when: str
) -> None:
    redis_board.offer([Offer(ticket(), b"payload")])
    if when == "claimed":
        redis_board.claim([ticket()])
    lose_everything(redis_url, prefix)
    assert redis_board.claim([ticket(attempt=1 if when == "claimed" else 0)]) == [Denied.STALE]
    assert redis_board.current([ticket()]) == [False]


def test_reports_go_on_after_redis_lost_everything(redis_board: RedisBoard, redis_url: str, prefix: str) -> None:
    redis_board.flush(Flush(reports={REPLY: [finished("d1")]}))
    _, after = heard(redis_board)
    lose_everything(redis_url, prefix)
    redis_board.flush(Flush(reports={REPLY: [finished("d2")]}))
    assert heard(redis_board, after)[0] == [finished("d2")]


def test_reports_go_on_when_redis_begins_again_with_a_clock_that_is_behind(
    redis_board: RedisBoard, redis_url: str, prefix: str
) -> None:
    stream = f"{prefix}reports:{REPLY}"
    with Redis.from_url(redis_url) as ahead:
        ahead.xadd(stream, {"r": encode([finished("d1")])}, id="9999999999999-0")
        found, after = heard(redis_board)
        ahead.delete(stream)
    assert found == [finished("d1")]
    redis_board.flush(Flush(reports={REPLY: [finished("d2")]}))
    found = []
    give_up_at = clock.monotonic() + PATIENCE_S
    while not found and clock.monotonic() < give_up_at:
        found, after = redis_board.reports(REPLY, after, 0.1)
    assert found == [finished("d2")]


def test_unreadable_report_does_not_hide_the_others(redis_board: RedisBoard, redis_url: str, prefix: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.xadd(f"{prefix}reports:{REPLY}", {"r": b"of another version"})
        client.xadd(f"{prefix}reports:{REPLY}", {"x": b"neither"})
    redis_board.flush(Flush(reports={REPLY: [finished("d1")]}))
    assert heard(redis_board)[0] == [finished("d1")]


def test_everything_in_redis_is_forgotten_in_time(redis_board: RedisBoard, redis_url: str, prefix: str) -> None:
    redis_board.offer([Offer(ticket(), b"payload")])
    redis_board.claim([ticket()])
    redis_board.flush(Flush(reports={"ingest-2": [finished("d1")]}, keep={"d1.1": b"again"}))
    with Redis.from_url(redis_url, decode_responses=True) as client:
        left_s = {key.removeprefix(prefix): client.ttl(key) for key in client.scan_iter(f"{prefix}*", count=1000)}
    assert {key for key, seconds in left_s.items() if seconds == -1} == {"slots"}
    assert {"payload:d1.0", "payload:d1.1", "reports:ingest-1", "reports:ingest-2"} < left_s.keys()


def _ask_everything(away: RedisBoard) -> Iterator[None]:
    with pytest.raises(QueueUnavailable):
        away.offer([Offer(ticket(), b"payload")])
    yield
    with pytest.raises(QueueUnavailable):
        away.claim([ticket()])
    yield
    with pytest.raises(QueueUnavailable):
        away.current([ticket()])
    yield
    with pytest.raises(QueueUnavailable):
        away.flush(Flush(reports={REPLY: [finished("d1")]}))
    yield
    with pytest.raises(QueueUnavailable):
        away.reports(REPLY, "0", 0.01)
    yield
    with pytest.raises(QueueUnavailable):
        away.revoke(["s1/orders/0"])
    yield
    with pytest.raises(QueueUnavailable):
        away.now()
    yield
    with pytest.raises(QueueUnavailable):
        away.ping()


def test_redis_that_is_away_is_said_soon(prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = RedisBoard(f"redis://127.0.0.1:{port}/0", prefix)
    began = clock.monotonic()
    assert len(list(_ask_everything(away))) == 7
    assert clock.monotonic() - began < PATIENCE_S
    away.close()
