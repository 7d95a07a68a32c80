"""Contract of the coordination store, in memory and in Redis: payloads, epochs, claims and reports.

Oracles: a real Redis, under a key prefix of the test's own; the table in the docstring of
`flow/dispatch/coordination.py`. What only Redis can do (lose its data, be unreachable) is tested with Redis alone.
"""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from tests.harness.coordination import REPLY, CoordinationStore, claimed, lose_everything, offered, ref
from webhookd import clock
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind, encode
from webhookd.flow.dispatch.coordination import ClaimAnswer, ClaimDenied, Publication, ReportFlush, payload_key
from webhookd.flow.dispatch.task_message import DeliveryRef

PATIENCE_S = 5.0


def read_all(coordination: CoordinationStore, after: str = "0", reply: str = REPLY) -> tuple[list[Report], str]:
    return coordination.read_reports(reply, after, PATIENCE_S)


def finished(id_: str) -> Report:
    return Report(ReportKind.FINISHED, id_, 0, 1)


def test_offered_delivery_is_claimed_with_its_payload(coordination: CoordinationStore) -> None:
    offered(coordination, ref(), payload=b"\x00bytes\xff")
    assert claimed(coordination, ref()) == b"\x00bytes\xff"


def test_empty_payload_is_a_payload(coordination: CoordinationStore) -> None:
    offered(coordination, ref(), payload=b"")
    assert claimed(coordination, ref()) == b""


def test_second_claim_is_denied_as_taken(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    claimed(coordination, ref())
    assert claimed(coordination, ref()) is ClaimDenied.TAKEN


def test_offering_again_keeps_the_claim(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    claimed(coordination, ref())
    offered(coordination, ref())
    assert claimed(coordination, ref()) is ClaimDenied.TAKEN


def test_offering_again_before_a_claim_changes_nothing(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    offered(coordination, ref())
    assert claimed(coordination, ref()) == b"payload"


@pytest.mark.parametrize("epoch", ["e2", "e", "e11", ""])
def test_another_epoch_is_stale(coordination: CoordinationStore, epoch: str) -> None:
    offered(coordination, ref())
    assert claimed(coordination, ref(epoch=epoch)) is ClaimDenied.STALE


def test_newer_epoch_makes_the_older_stale(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    offered(coordination, ref("d2", epoch="e2"))
    assert claimed(coordination, ref()) is ClaimDenied.STALE


def test_next_delivery_makes_the_one_before_stale(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    offered(coordination, ref("d2"))
    assert (claimed(coordination, ref()), claimed(coordination, ref("d2"))) == (ClaimDenied.STALE, b"payload")


def test_unknown_lane_is_stale(coordination: CoordinationStore) -> None:
    assert claimed(coordination, ref()) is ClaimDenied.STALE


def test_lost_payload_is_stale(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    coordination.send_reports(ReportFlush(reports={}, payloads_to_delete=[payload_key("d1", 0)]))
    assert claimed(coordination, ref()) is ClaimDenied.STALE


def test_mixed_delivery_claims_all_its_lanes(coordination: CoordinationStore) -> None:
    both = ref(lanes=("orders/0", "orders/1"))
    offered(coordination, both)
    assert claimed(coordination, both) == b"payload"
    assert claimed(coordination, both) is ClaimDenied.TAKEN


@pytest.mark.parametrize("moved", ["orders/0", "orders/1"])
def test_mixed_delivery_claims_all_or_nothing(coordination: CoordinationStore, moved: str) -> None:
    both = ref(lanes=("orders/0", "orders/1"))
    (other,) = {"orders/0", "orders/1"} - {moved}
    offered(coordination, both)
    offered(coordination, ref("d2", lanes=(moved,)))
    assert claimed(coordination, both) is ClaimDenied.STALE
    offered(coordination, ref("d3", lanes=(other,)))
    assert claimed(coordination, ref("d3", lanes=(other,))) == b"payload"


@pytest.mark.parametrize("moved", ["orders/0", "orders/1"])
def test_claimed_mixed_delivery_that_lost_a_lane_is_stale(coordination: CoordinationStore, moved: str) -> None:
    both = ref(lanes=("orders/0", "orders/1"))
    offered(coordination, both)
    claimed(coordination, both)
    offered(coordination, ref("d2", lanes=(moved,)))
    assert claimed(coordination, both) is ClaimDenied.STALE


def test_claims_of_one_task_keep_their_order(coordination: CoordinationStore) -> None:
    refs = [ref(f"d{number}", lanes=(f"orders/{number}",)) for number in range(5)]
    offered(coordination, *refs[:3])
    coordination.claim(refs[1:2])
    answers = coordination.claim(refs)
    assert answers == [b"payload", ClaimDenied.TAKEN, b"payload", ClaimDenied.STALE, ClaimDenied.STALE]


def test_payloads_of_one_call_stay_apart(coordination: CoordinationStore) -> None:
    refs = [ref(f"d{number}", lanes=(f"orders/{number}",)) for number in range(3)]
    coordination.make_claimable([Publication(one, one.id.encode()) for one in refs])
    assert coordination.claim(refs) == [b"d0", b"d1", b"d2"]


def test_retry_claims_with_its_own_payload(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    claimed(coordination, ref())
    coordination.send_reports(
        ReportFlush(
            reports={},
            payloads_to_delete=[payload_key("d1", 0)],
            payloads_to_store={payload_key("d1", 1): b"failed batch"},
        )
    )
    assert claimed(coordination, ref(attempt=1)) == b"failed batch"
    assert claimed(coordination, ref(attempt=1)) is ClaimDenied.TAKEN
    assert claimed(coordination, ref(attempt=0)) is ClaimDenied.TAKEN


def test_retry_before_its_first_attempt_is_denied(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    coordination.send_reports(ReportFlush(reports={}, payloads_to_store={payload_key("d1", 1): b"failed batch"}))
    assert isinstance(claimed(coordination, ref(attempt=1)), ClaimDenied)
    assert claimed(coordination, ref()) == b"payload"


def test_retry_without_its_payload_is_stale(coordination: CoordinationStore) -> None:
    offered(coordination, ref())
    claimed(coordination, ref())
    assert claimed(coordination, ref(attempt=1)) is ClaimDenied.STALE


def test_current_says_which_deliveries_are_waited_for(coordination: CoordinationStore) -> None:
    claimed_one, mixed, gone = ref(), ref("d2", lanes=("orders/1", "orders/2")), ref("d3", lanes=("x/0",))
    offered(coordination, claimed_one, mixed)
    claimed(coordination, claimed_one)
    assert coordination.are_current([claimed_one, mixed, gone]) == [True, True, False]
    offered(coordination, ref("d4", lanes=("orders/2",)))
    assert coordination.are_current([gone, mixed, claimed_one]) == [False, False, True]


def test_claims_are_reported_as_started(coordination: CoordinationStore) -> None:
    refs = [ref(f"d{number}", lanes=(f"orders/{number}",)) for number in range(3)]
    offered(coordination, *refs[:2])
    coordination.claim(refs)
    reports, _ = read_all(coordination)
    assert reports == [Report(ReportKind.STARTED, "d0", 0), Report(ReportKind.STARTED, "d1", 0)]


def test_denied_claims_are_not_reported(coordination: CoordinationStore) -> None:
    coordination.claim([ref()])
    assert coordination.read_reports(REPLY, "0", 0.01) == ([], "0")


def test_reports_arrive_whole_and_in_order(coordination: CoordinationStore) -> None:
    first, second = [finished("d1"), Report(ReportKind.RETRY, "d2", 3, 1, 0.5, 30.0)], [finished("d3")]
    coordination.send_reports(ReportFlush(reports={REPLY: first}))
    coordination.send_reports(ReportFlush(reports={REPLY: second}))
    assert read_all(coordination)[0] == first + second


def test_each_ingest_reads_its_own_reports(coordination: CoordinationStore) -> None:
    coordination.send_reports(ReportFlush(reports={REPLY: [finished("d1")], "ingest-2": [finished("d2")]}))
    assert read_all(coordination)[0] == [finished("d1")]
    assert read_all(coordination, reply="ingest-2")[0] == [finished("d2")]


def test_no_report_is_read_twice(coordination: CoordinationStore) -> None:
    coordination.send_reports(ReportFlush(reports={REPLY: [finished("d1")]}))
    _, after = read_all(coordination)
    assert coordination.read_reports(REPLY, after, 0.01) == ([], after)
    coordination.send_reports(ReportFlush(reports={REPLY: [finished("d2")]}))
    assert read_all(coordination, after)[0] == [finished("d2")]


def test_many_flushes_are_read_in_order(coordination: CoordinationStore) -> None:
    for number in range(1200):
        coordination.send_reports(ReportFlush(reports={REPLY: [finished(f"d{number}")]}))
    found: list[Report] = []
    after = "0"
    while len(found) < 1200:
        reports, after = read_all(coordination, after)
        assert reports
        found += reports
    assert [report.delivery for report in found] == [f"d{number}" for number in range(1200)]


def test_waiting_ends_with_the_first_report(coordination: CoordinationStore) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(coordination.read_reports, REPLY, "0", 2.0)
        coordination.send_reports(ReportFlush(reports={REPLY: [finished("d1")]}))
        assert answer.result(PATIENCE_S)[0] == [finished("d1")]


def test_waiting_ends_without_a_report(coordination: CoordinationStore) -> None:
    began = clock.monotonic()
    assert coordination.read_reports(REPLY, "0", 0.05) == ([], "0")
    assert clock.monotonic() - began >= 0.04


def test_flush_is_one_step(coordination: CoordinationStore) -> None:
    """Whoever reads the report of the retry finds its payload."""
    offered(coordination, ref())
    claimed(coordination, ref())
    _, after = read_all(coordination)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(coordination.read_reports, REPLY, after, 2.0)
        coordination.send_reports(
            ReportFlush(
                reports={REPLY: [Report(ReportKind.RETRY, "d1", 0)]},
                payloads_to_store={payload_key("d1", 1): b"again"},
                payloads_to_delete=["d1.0"],
            )
        )
        assert answer.result(PATIENCE_S)[0] == [Report(ReportKind.RETRY, "d1", 0)]
    assert claimed(coordination, ref(attempt=1)) == b"again"


def test_of_many_claims_exactly_one_is_granted(coordination: CoordinationStore) -> None:
    rounds, copies = 20, 8
    gate = threading.Barrier(copies)

    def race(one: DeliveryRef) -> ClaimAnswer:
        gate.wait(PATIENCE_S)
        return claimed(coordination, one)

    with ThreadPoolExecutor(copies) as pool:
        for number in range(rounds):
            one = ref(f"d{number}")
            offered(coordination, one)
            answers = [future.result(PATIENCE_S) for future in [pool.submit(race, one) for _ in range(copies)]]
            assert sorted(map(str, answers)) == sorted([str(b"payload"), *[str(ClaimDenied.TAKEN)] * (copies - 1)])


def test_clock_of_the_coordination_goes_on(coordination: CoordinationStore) -> None:
    first, second = coordination.now(), coordination.now()
    assert first <= second < first + PATIENCE_S


def test_ping_answers(coordination: CoordinationStore) -> None:
    coordination.ping()


@pytest.mark.parametrize("when", ["offered", "claimed"])
def test_redis_that_lost_everything_makes_stale(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str, when: str
) -> None:
    redis_coordination.make_claimable([Publication(ref(), b"payload")])
    if when == "claimed":
        redis_coordination.claim([ref()])
    lose_everything(redis_url, prefix)
    assert redis_coordination.claim([ref(attempt=1 if when == "claimed" else 0)]) == [ClaimDenied.STALE]
    assert redis_coordination.are_current([ref()]) == [False]


def test_reports_continue_after_redis_lost_everything(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    redis_coordination.send_reports(ReportFlush(reports={REPLY: [finished("d1")]}))
    _, after = read_all(redis_coordination)
    lose_everything(redis_url, prefix)
    redis_coordination.send_reports(ReportFlush(reports={REPLY: [finished("d2")]}))
    assert read_all(redis_coordination, after)[0] == [finished("d2")]


def test_reports_continue_when_redis_restarts_with_a_clock_that_is_behind(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    stream = f"{prefix}reports:{REPLY}"
    with Redis.from_url(redis_url) as ahead:
        ahead.xadd(stream, {"r": encode([finished("d1")])}, id="9999999999999-0")
        found, after = read_all(redis_coordination)
        ahead.delete(stream)
    assert found == [finished("d1")]
    redis_coordination.send_reports(ReportFlush(reports={REPLY: [finished("d2")]}))
    found = []
    give_up_at = clock.monotonic() + PATIENCE_S
    while not found and clock.monotonic() < give_up_at:
        found, after = redis_coordination.read_reports(REPLY, after, 0.1)
    assert found == [finished("d2")]


def test_undecodable_report_does_not_hide_the_others(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    with Redis.from_url(redis_url) as client:
        client.xadd(f"{prefix}reports:{REPLY}", {"r": b"of another version"})
        client.xadd(f"{prefix}reports:{REPLY}", {"x": b"neither"})
    redis_coordination.send_reports(ReportFlush(reports={REPLY: [finished("d1")]}))
    assert read_all(redis_coordination)[0] == [finished("d1")]


def test_everything_in_redis_expires(redis_coordination: RedisCoordination, redis_url: str, prefix: str) -> None:
    redis_coordination.make_claimable([Publication(ref(), b"payload")])
    redis_coordination.claim([ref()])
    redis_coordination.send_reports(
        ReportFlush(reports={"ingest-2": [finished("d1")]}, payloads_to_store={"d1.1": b"again"})
    )
    with Redis.from_url(redis_url, decode_responses=True) as client:
        left_s = {key.removeprefix(prefix): client.ttl(key) for key in client.scan_iter(f"{prefix}*", count=1000)}
    assert {key for key, seconds in left_s.items() if seconds == -1} == {"claims"}
    assert {"payload:d1.0", "payload:d1.1", "reports:ingest-1", "reports:ingest-2"} < left_s.keys()


def _ask_everything(unreachable: RedisCoordination) -> Iterator[None]:
    with pytest.raises(QueueUnavailable):
        unreachable.make_claimable([Publication(ref(), b"payload")])
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.claim([ref()])
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.are_current([ref()])
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.send_reports(ReportFlush(reports={REPLY: [finished("d1")]}))
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.read_reports(REPLY, "0", 0.01)
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.revoke(["s1/orders/0"])
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.now()
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.ping()


def test_unreachable_redis_is_reported_soon(prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    unreachable = RedisCoordination(parse(f"redis://127.0.0.1:{port}/0"), prefix)
    began = clock.monotonic()
    assert len(list(_ask_everything(unreachable))) == 7
    assert clock.monotonic() - began < PATIENCE_S
    unreachable.close()
