"""Contract of delivery sessions in the coordination store, in memory and in Redis: open, push, take, renew, close.

Oracles: a real Redis, under a key prefix of the test's own; the table in the docstring of
`flow/dispatch/coordination.py`.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from tests.harness.coordination import REPLY, CoordinationStore, claimed, lose_everything, offered, ref
from webhookd import clock
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.dispatch.coordination import ClaimDenied, Publication, Push
from webhookd.flow.dispatch.delivery_session import SessionClaim

PATIENCE_S = 5.0
WORKER = "worker-1"
SESSION = f"{WORKER}/1"
LONG_S = 60.0


def opened(coordination: CoordinationStore, session: str = SESSION, ttl_s: float = LONG_S) -> None:
    """Open a session with the claim of a delivery of a lane of its own."""
    first = ref(f"first-of-{session}", lanes=(f"opened/{session}",))
    offered(coordination, first)
    assert coordination.claim([first], (), SessionClaim(session, ttl_s, opens=True)) == [b"payload"]


def pushed(coordination: CoordinationStore, *ids: str, session: str = SESSION) -> bool:
    """Make deliveries claimable, each of a lane of its own, and push them to a session."""
    refs = [ref(id_, lanes=(f"orders/{id_}",)) for id_ in ids]
    return coordination.make_claimable([Publication(one, one.id.encode()) for one in refs], Push(session, refs))


def taken(coordination: CoordinationStore, wait_s: float = PATIENCE_S) -> list[str]:
    """The deliveries of the next push to the worker; empty if there is none."""
    push = coordination.take_pushed(WORKER, wait_s)
    return [] if push is None else [one.id for one in push.refs]


def test_ingest_learns_of_a_session_with_the_claim_that_opens_it(coordination: CoordinationStore) -> None:
    opened(coordination)
    reports, _ = coordination.read_reports(REPLY, "0", PATIENCE_S)
    assert reports == [Report(ReportKind.STARTED, f"first-of-{SESSION}", 0, session=SESSION)]


def test_claim_that_is_denied_opens_no_session(coordination: CoordinationStore) -> None:
    assert coordination.claim([ref()], (), SessionClaim(SESSION, LONG_S, opens=True)) == [ClaimDenied.STALE]
    assert not pushed(coordination, "d1")


def test_pushed_deliveries_are_taken_whole_and_in_order_and_can_be_claimed(coordination: CoordinationStore) -> None:
    opened(coordination)
    assert pushed(coordination, "d1", "d2")
    assert pushed(coordination, "d3")
    push = coordination.take_pushed(WORKER, PATIENCE_S)
    assert push is not None
    assert (push.session, [one.id for one in push.refs]) == (SESSION, ["d1", "d2"])
    assert coordination.claim(push.refs) == [b"d1", b"d2"]
    assert taken(coordination) == ["d3"]


def test_claim_for_an_open_session_does_not_report_it_again(coordination: CoordinationStore) -> None:
    opened(coordination)
    _, after = coordination.read_reports(REPLY, "0", PATIENCE_S)
    pushed(coordination, "d1")
    coordination.claim([ref("d1", lanes=("orders/d1",))], (), SessionClaim(SESSION, LONG_S, opens=False))
    assert coordination.read_reports(REPLY, after, PATIENCE_S)[0] == [Report(ReportKind.STARTED, "d1", 0)]


def test_push_to_a_session_that_never_opened_is_refused_but_claimable(coordination: CoordinationStore) -> None:
    assert not pushed(coordination, "d1")
    assert taken(coordination, 0.01) == []
    assert claimed(coordination, ref("d1", lanes=("orders/d1",))) == b"d1"


def test_pushes_to_the_sessions_of_a_worker_are_in_one_list(coordination: CoordinationStore) -> None:
    other, elsewhere = f"{WORKER}/2", "worker-2/1"
    for session in (SESSION, other, elsewhere):
        opened(coordination, session)
    pushed(coordination, "d1", session=other)
    pushed(coordination, "d2", session=elsewhere)
    pushed(coordination, "d3")
    assert [taken(coordination, 0.01) for _ in range(3)] == [["d1"], ["d3"], []]


def test_session_closes_when_all_was_received(coordination: CoordinationStore) -> None:
    opened(coordination)
    pushed(coordination, "d1")
    assert coordination.close_session(SESSION, 1)
    assert not pushed(coordination, "d2")


def test_session_with_a_push_that_was_not_received_stays_open(coordination: CoordinationStore) -> None:
    opened(coordination)
    pushed(coordination, "d1")
    assert not coordination.close_session(SESSION, 0)
    assert pushed(coordination, "d2")
    assert coordination.close_session(SESSION, 2)


def test_session_can_be_closed_in_any_case(coordination: CoordinationStore) -> None:
    opened(coordination)
    pushed(coordination, "d1")
    assert coordination.close_session(SESSION, None)
    assert not pushed(coordination, "d2")


def test_closing_a_session_that_is_not_open_succeeds(coordination: CoordinationStore) -> None:
    assert coordination.close_session(SESSION, 0)
    assert coordination.close_session(SESSION, 5)


def test_session_that_is_not_renewed_refuses_pushes(coordination: CoordinationStore) -> None:
    opened(coordination, ttl_s=0.05)
    wait = threading.Event()
    wait.wait(0.1)
    assert not pushed(coordination, "d1")
    assert coordination.close_session(SESSION, 3)


def test_claims_renew_the_session(coordination: CoordinationStore) -> None:
    opened(coordination, ttl_s=1.0)
    assert pushed(coordination, "d1")
    coordination.claim([ref("d1", lanes=("orders/d1",))], (), SessionClaim(SESSION, LONG_S, opens=False))
    threading.Event().wait(1.1)
    assert pushed(coordination, "d2")


def test_claim_for_a_closed_session_does_not_open_it_again(coordination: CoordinationStore) -> None:
    opened(coordination)
    pushed(coordination, "d1")
    coordination.close_session(SESSION, None)
    coordination.claim([ref("d1", lanes=("orders/d1",))], (), SessionClaim(SESSION, LONG_S, opens=False))
    assert not pushed(coordination, "d2")


def test_waiting_ends_with_the_first_push(coordination: CoordinationStore) -> None:
    opened(coordination)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(taken, coordination)
        assert pushed(coordination, "d1")
        assert answer.result(PATIENCE_S) == ["d1"]


def test_waiting_ends_without_a_push(coordination: CoordinationStore) -> None:
    began = clock.monotonic()
    assert coordination.take_pushed(WORKER, 0.05) is None
    assert clock.monotonic() - began >= 0.04


def test_no_push_is_left_behind_by_a_session_that_closes_meanwhile(coordination: CoordinationStore) -> None:
    """Pushes and closings race: whatever was accepted is in the list, and nothing is accepted after the closing."""
    gate = threading.Barrier(2)

    def push_until_refused(session: str) -> list[str]:
        gate.wait(PATIENCE_S)
        accepted: list[str] = []
        while len(accepted) < 500 and pushed(coordination, f"{session}-{len(accepted)}", session=session):
            accepted.append(f"{session}-{len(accepted)}")
        return accepted

    with ThreadPoolExecutor(1) as pool:
        for number in range(10):
            session = f"{WORKER}/{number}"
            opened(coordination, session)
            pushing = pool.submit(push_until_refused, session)
            gate.wait(PATIENCE_S)
            received: list[str] = taken(coordination)
            while not coordination.close_session(session, len(received)):
                received += taken(coordination)
            assert pushing.result(PATIENCE_S) == received
            assert taken(coordination, 0.01) == []


def test_push_of_another_version_does_not_hide_the_others(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    opened(redis_coordination)
    with Redis.from_url(redis_url) as client:
        client.lpush(f"{prefix}pushes:{WORKER}", b"of another version")
    pushed(redis_coordination, "d1")
    assert [taken(redis_coordination), taken(redis_coordination)] == [[], ["d1"]]


def test_sessions_and_pushes_expire(redis_coordination: RedisCoordination, redis_url: str, prefix: str) -> None:
    opened(redis_coordination)
    pushed(redis_coordination, "d1")
    with Redis.from_url(redis_url) as client:
        assert 0 < client.ttl(f"{prefix}session:{SESSION}") <= LONG_S
        assert client.ttl(f"{prefix}pushes:{WORKER}") > 0


@pytest.mark.parametrize("received", [0, 1])
def test_redis_that_lost_everything_has_closed_the_session(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str, received: int
) -> None:
    opened(redis_coordination)
    pushed(redis_coordination, "d1")
    lose_everything(redis_url, prefix)
    assert not pushed(redis_coordination, "d2")
    assert redis_coordination.close_session(SESSION, received)
    assert taken(redis_coordination, 0.01) == []
