"""Contract of the permits that a claim takes, in memory and in Redis: token buckets, concurrency, giving back.

Oracles: a real Redis, under a key prefix of the test's own; the rules in the docstring of
`flow/dispatch/request_quota.py`. Redis' clock cannot be moved: rates are such that nothing comes back during a test.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.harness.coordination import CoordinationStore
from webhookd.flow.destination import RateLimit, RateUnit
from webhookd.flow.dispatch.coordination import ClaimAnswer, ClaimDenied, Publication, ReportFlush
from webhookd.flow.dispatch.request_quota import (
    FULL_WAIT_S,
    HeldBy,
    NotNow,
    Permit,
    PermitRequest,
    Permitted,
    Quota,
    UsedPermit,
)
from webhookd.flow.dispatch.task_message import DeliveryRef

TOKEN_S = 50.0
LASTS_S = 20.0
ABOUT = 1.0


def rate(burst: int = 2, unit: RateUnit = RateUnit.REQUESTS, subject: str = "s1", most: int | None = None) -> Quota:
    """A quota whose tokens come back after 50 s each."""
    limit = RateLimit(per_second=1 / TOKEN_S, burst=burst, unit=unit)
    return Quota(subject=subject, rate=limit, max_concurrent=most)


def concurrency(most: int = 1, subject: str = "s1") -> Quota:
    return Quota(subject=subject, max_concurrent=most)


def ref(id_: str = "d1", *, batches: int = 1, records: int = 0) -> DeliveryRef:
    return DeliveryRef(
        id=id_,
        subscription="s1",
        version=1,
        lanes={f"orders/{id_}": "e1"},
        attempt=0,
        records=records or batches,
        batches=batches,
        reply_to="ingest-1",
    )


def claim(coordination: CoordinationStore, one: DeliveryRef, *quotas: Quota, lasts_s: float = LASTS_S) -> ClaimAnswer:
    """Make the delivery claimable and claim it."""
    coordination.make_claimable([Publication(one, b"payload")])
    (answer,) = coordination.claim([one], [PermitRequest(quotas=quotas, lasts_s=lasts_s)])
    return answer


def permit_of(answer: ClaimAnswer) -> Permit:
    assert isinstance(answer, Permitted), answer
    return answer.permit


def give_back(coordination: CoordinationStore, permit: Permit, *taken: int) -> None:
    coordination.send_reports(ReportFlush(reports={}, permits=[UsedPermit(permit=permit, taken=taken)]))


def test_permit_comes_with_the_payload(coordination: CoordinationStore) -> None:
    answer = claim(coordination, ref(), rate())
    assert isinstance(answer, Permitted)
    assert (answer.payload, answer.permit.reserved, answer.permit.ahead_s) == (b"payload", (1,), (0.0,))


def test_deliveries_without_quotas_need_no_permit(coordination: CoordinationStore) -> None:
    refs = [ref("d1"), ref("d2")]
    coordination.make_claimable([Publication(one, b"payload") for one in refs])
    free, permitted = coordination.claim(refs, [None, PermitRequest(quotas=(rate(),), lasts_s=LASTS_S)])
    assert (free, type(permitted)) == (b"payload", Permitted)


def test_used_up_rate_refuses_until_the_next_token(coordination: CoordinationStore) -> None:
    for id_ in ("d1", "d2"):
        permit_of(claim(coordination, ref(id_), rate(burst=2)))
    refused = claim(coordination, ref("d3"), rate(burst=2))
    assert isinstance(refused, NotNow)
    assert refused.wait_s == pytest.approx(TOKEN_S, abs=ABOUT)


@pytest.mark.parametrize(
    ("quotas", "held_by"),
    [
        ((rate(burst=1),), HeldBy.RATE_LIMIT),
        ((rate(burst=1, subject="host:a"),), HeldBy.HOST_LIMIT),
        ((concurrency(),), HeldBy.CONCURRENCY),
        ((concurrency(), rate(burst=1, subject="host:a")), HeldBy.HOST_LIMIT),
        ((concurrency(), rate(burst=9, subject="host:a")), HeldBy.CONCURRENCY),
        ((rate(burst=1), rate(burst=1, subject="host:a")), HeldBy.RATE_LIMIT),
    ],
)
def test_refusal_names_the_quota_with_the_longest_wait(
    coordination: CoordinationStore, quotas: tuple[Quota, ...], held_by: HeldBy
) -> None:
    permit_of(claim(coordination, ref("d1"), *quotas))
    refused = claim(coordination, ref("d2"), *quotas)
    assert isinstance(refused, NotNow)
    assert refused.held_by is held_by


def test_refused_delivery_is_not_claimed_and_takes_nothing(coordination: CoordinationStore) -> None:
    first = permit_of(claim(coordination, ref("d1"), concurrency()))
    assert isinstance(claim(coordination, ref("d2"), concurrency()), NotNow)
    give_back(coordination, first, 1)
    permit_of(claim(coordination, ref("d2"), concurrency()))


def test_all_requests_of_a_delivery_are_reserved(coordination: CoordinationStore) -> None:
    permit = permit_of(claim(coordination, ref("d1", batches=4), rate(burst=2)))
    refused = claim(coordination, ref("d2"), rate(burst=2))
    assert isinstance(refused, NotNow)
    assert permit.reserved == (4,)
    assert refused.wait_s == pytest.approx(3 * TOKEN_S, abs=ABOUT)


def test_records_are_counted_where_the_unit_says_so(coordination: CoordinationStore) -> None:
    quota = rate(burst=10, unit=RateUnit.RECORDS)
    assert permit_of(claim(coordination, ref("d1", batches=2, records=9), quota)).reserved == (9,)
    assert isinstance(claim(coordination, ref("d2", records=2), quota), NotNow)
    permit_of(claim(coordination, ref("d3", records=1), quota))


def test_batch_larger_than_the_burst_waits_in_the_worker(coordination: CoordinationStore) -> None:
    permit_of(claim(coordination, ref("d1", records=9), rate(burst=2, unit=RateUnit.RECORDS)))


def test_unused_tokens_come_back(coordination: CoordinationStore) -> None:
    permit = permit_of(claim(coordination, ref("d1", batches=5), rate(burst=5)))
    give_back(coordination, permit, 3)
    permit_of(claim(coordination, ref("d2", batches=2), rate(burst=5)))
    assert isinstance(claim(coordination, ref("d3"), rate(burst=5)), NotNow)


def test_more_taken_than_reserved_is_charged(coordination: CoordinationStore) -> None:
    permit = permit_of(claim(coordination, ref("d1"), rate(burst=5)))
    give_back(coordination, permit, 5)
    assert isinstance(claim(coordination, ref("d2"), rate(burst=5)), NotNow)


def test_giving_back_twice_has_no_further_effect(coordination: CoordinationStore) -> None:
    permit = permit_of(claim(coordination, ref("d1", batches=4), rate(burst=4)))
    for _ in range(3):
        give_back(coordination, permit, 3)
    permit_of(claim(coordination, ref("d2"), rate(burst=4)))
    assert isinstance(claim(coordination, ref("d3"), rate(burst=4)), NotNow)


def test_so_many_deliveries_are_open_as_the_quota_allows(coordination: CoordinationStore) -> None:
    permits = [permit_of(claim(coordination, ref(id_), concurrency(2))) for id_ in ("d1", "d2")]
    assert claim(coordination, ref("d3"), concurrency(2)) == NotNow(FULL_WAIT_S, HeldBy.CONCURRENCY)
    give_back(coordination, permits[0], 1)
    permit_of(claim(coordination, ref("d3"), concurrency(2)))


def test_permit_of_a_lost_worker_expires(coordination: CoordinationStore) -> None:
    permit_of(claim(coordination, ref("d1"), concurrency(), lasts_s=0.001))
    gone = threading.Event()
    deadline_s, step_s = 5.0, 0.005
    for number in range(int(deadline_s / step_s)):
        if isinstance(claim(coordination, ref(f"n{number}"), concurrency()), Permitted):
            return
        gone.wait(step_s)
    pytest.fail("it does not expire")


def test_permit_outlasts_a_shorter_one_of_another_holder(coordination: CoordinationStore) -> None:
    permit_of(claim(coordination, ref("long"), concurrency(2)))
    permit_of(claim(coordination, ref("short"), concurrency(2), lasts_s=0.001))
    gone = threading.Event()
    deadline_s, step_s = 5.0, 0.005
    for number in range(int(deadline_s / step_s)):
        if isinstance(claim(coordination, ref(f"n{number}"), concurrency(2)), Permitted):
            break
        gone.wait(step_s)
    assert claim(coordination, ref("last"), concurrency(2)) == NotNow(FULL_WAIT_S, HeldBy.CONCURRENCY)


def test_every_quota_must_have_room(coordination: CoordinationStore) -> None:
    host = concurrency(1, "host:example.com")
    first = permit_of(claim(coordination, ref("d1"), rate(burst=5), host))
    assert claim(coordination, ref("d2"), rate(burst=5, subject="s2"), host) == NotNow(FULL_WAIT_S, HeldBy.CONCURRENCY)
    give_back(coordination, first, 1, 1)
    permit_of(claim(coordination, ref("d2"), rate(burst=5, subject="s2"), host))


def test_rate_and_concurrency_of_one_quota_both_hold(coordination: CoordinationStore) -> None:
    quota = rate(burst=1, most=1)
    first = permit_of(claim(coordination, ref("d1"), quota))
    full = claim(coordination, ref("d2"), quota)
    give_back(coordination, first, 1)
    spent = claim(coordination, ref("d2"), quota)
    assert isinstance(full, NotNow)
    assert isinstance(spent, NotNow)
    assert spent.wait_s == pytest.approx(TOKEN_S, abs=ABOUT)


def test_another_rate_has_another_bucket(coordination: CoordinationStore) -> None:
    permit_of(claim(coordination, ref("d1"), rate(burst=1)))
    assert isinstance(claim(coordination, ref("d2"), rate(burst=1)), NotNow)
    permit_of(claim(coordination, ref("d2"), rate(burst=2)))


def test_stale_delivery_takes_no_permit(coordination: CoordinationStore) -> None:
    answers = coordination.claim([ref("d1")], [PermitRequest(quotas=(concurrency(),), lasts_s=LASTS_S)])
    assert answers == [ClaimDenied.STALE]
    permit_of(claim(coordination, ref("d2"), concurrency()))


def test_copy_of_a_permitted_delivery_is_taken(coordination: CoordinationStore) -> None:
    permit_of(claim(coordination, ref("d1"), concurrency(2)))
    assert claim(coordination, ref("d1"), concurrency(2)) is ClaimDenied.TAKEN
    permit_of(claim(coordination, ref("d2"), concurrency(2)))


def test_retry_takes_a_permit_of_its_own(coordination: CoordinationStore) -> None:
    first = permit_of(claim(coordination, ref("d1"), concurrency()))
    again = msgspec.structs.replace(ref("d1"), attempt=1)
    payloads = {"d1.1": b"again"}
    coordination.send_reports(ReportFlush(reports={}, payloads_to_store=payloads))
    request = PermitRequest(quotas=(concurrency(),), lasts_s=LASTS_S)
    assert coordination.claim([again], [request]) == [NotNow(FULL_WAIT_S, HeldBy.CONCURRENCY)]
    give_back(coordination, first, 1)
    (answer,) = coordination.claim([again], [request])
    assert isinstance(answer, Permitted)
    assert answer.payload == b"again"


def test_of_many_claims_no_more_than_allowed_are_granted(coordination: CoordinationStore) -> None:
    copies, most = 16, 3
    gate = threading.Barrier(copies)

    def race(number: int) -> ClaimAnswer:
        gate.wait(5.0)
        return claim(coordination, ref(f"d{number}"), concurrency(most))

    with ThreadPoolExecutor(copies) as pool:
        answers = list(pool.map(race, range(copies)))
    assert sum(isinstance(answer, Permitted) for answer in answers) == most
