"""The verdict on an exchange: each row of the table in the docstring of `judge`."""

import pytest

from tests.harness.lanes import MIDDLE
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.judge import Refusal, Refused, RetryAt, Verdict, acknowledged, judge
from webhookd.flow.attempt.success_codes import DEFAULT_STATUSES, statuses_of
from webhookd.flow.subscription import OnRejected, Retry

THREE = Retry(max_retries=3)

REFUSED_HERE = {FailureCode.ADDRESS_REFUSED, FailureCode.URL_REFUSED, FailureCode.TOKEN_NOT_ALLOWED}


def answer(status: int, head: bytes = b"HTTP/1.1 200 OK") -> Response:
    return Response(status=status, head=head, body=b"", elapsed_s=0.0)


def no_response(code: FailureCode = FailureCode.TIMEOUT) -> Failure:
    return Failure(code=code, detail="", elapsed_s=0.0, sent=True)


def judged(
    outcome: Outcome, failures: int = 0, *, probe: bool = False, policy: Retry = THREE, records: int = 1
) -> Verdict:
    return judge(outcome, policy, failures=failures, probe=probe, chance=MIDDLE, wall_now=0.0, records=records)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_acknowledged(status: int) -> None:
    assert acknowledged(answer(status))


@pytest.mark.parametrize("status", [199, 300, 304, 404, 500])
def test_other_status_is_not_acknowledged(status: int) -> None:
    assert not acknowledged(answer(status))


@pytest.mark.parametrize(
    ("codes", "accepted", "refused"),
    [
        (("201",), {201}, {200, 202, 299}),
        (("2xx", "304"), {200, 299, 304}, {199, 300, 303, 305}),
        (("4xx",), {400, 410, 413, 499}, {200, 399, 500}),
        (("5xx", "3xx"), {300, 399, 500, 599}, {200, 299, 400, 499, 600}),
    ],
)
def test_success_codes_decide(codes: tuple[str, ...], accepted: set[int], refused: set[int]) -> None:
    success = statuses_of(codes)
    assert {status for status in accepted | refused if acknowledged(answer(status), success)} == accepted


def test_subscriptions_with_default_codes_share_one_set() -> None:
    assert statuses_of(["2xx"]) is DEFAULT_STATUSES


@pytest.mark.parametrize("code", ["", "1xx", "199", "2XX", "xx", "2000", "200\n"])
def test_what_is_no_success_code_is_refused(code: str) -> None:
    with pytest.raises(InvalidInput, match="not a success code"):
        statuses_of([code])


def test_2xx_that_is_no_success_is_tried_again() -> None:
    assert judged(answer(202)) == RetryAt(5.0, "http_202")


@pytest.mark.parametrize("status", [199, 408, 425, 429, 500, 501, 503, 599])
def test_retryable_status_is_tried_again(status: int) -> None:
    assert judged(answer(status)) == RetryAt(5.0, f"http_{status}")


@pytest.mark.parametrize("status", [300, 301, 304, 308, 400, 401, 404, 409, 411, 422, 499])
def test_permanent_status_is_not_tried_again(status: int) -> None:
    assert judged(answer(status)) == Refused(f"http_{status}", Refusal.PERMANENT)


def test_410_means_that_the_endpoint_is_gone() -> None:
    assert judged(answer(410)) == Refused("http_410", Refusal.GONE)


def test_refusal_carries_the_requested_wait() -> None:
    last = answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 77")
    assert judged(last, 3) == Refused("http_503", Refusal.EXHAUSTED, 77.0)


@pytest.mark.parametrize("code", sorted(REFUSED_HERE))
def test_refusal_by_the_egress_policy_is_permanent(code: FailureCode) -> None:
    assert judged(no_response(code)) == Refused(code.value, Refusal.PERMANENT)
    assert judged(no_response(code), probe=True) == Refused(code.value, Refusal.PERMANENT)


@pytest.mark.parametrize("code", sorted(set(FailureCode) - REFUSED_HERE))
def test_request_without_response_is_tried_again(code: FailureCode) -> None:
    assert judged(no_response(code)) == RetryAt(5.0, code.value)


@pytest.mark.parametrize(
    ("failures", "verdict"), [(2, RetryAt(20.0, "timeout")), (3, Refused("timeout", Refusal.EXHAUSTED))]
)
def test_batch_is_refused_after_its_last_retry(failures: int, verdict: Verdict) -> None:
    assert judged(no_response(), failures) == verdict


def test_no_retries_means_one_attempt() -> None:
    assert judged(no_response(), policy=Retry(max_retries=0)) == Refused("timeout", Refusal.EXHAUSTED)


def test_probe_is_never_retried() -> None:
    assert judged(answer(500), probe=True) == Refused("http_500", Refusal.EXHAUSTED)


SPLIT = Retry(max_retries=3, on_rejected=OnRejected.SPLIT)


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("policy", [THREE, SPLIT])
def test_batch_that_is_too_large_is_divisible(policy: Retry, *, probe: bool) -> None:
    assert judged(answer(413), 3, probe=probe, policy=policy, records=2) == Refused("http_413", Refusal.DIVISIBLE)


@pytest.mark.parametrize("status", [400, 409, 422])
def test_batch_with_refused_content_is_divisible_on_request(status: int) -> None:
    verdicts = [judged(answer(status), policy=policy, records=2) for policy in (THREE, SPLIT)]
    assert verdicts == [Refused(f"http_{status}", why) for why in (Refusal.PERMANENT, Refusal.DIVISIBLE)]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 411, 451])
def test_refusal_that_is_about_the_endpoint_is_not_divisible(status: int) -> None:
    assert judged(answer(status), policy=SPLIT, records=2) == Refused(f"http_{status}", Refusal.PERMANENT)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_single_record_is_not_divisible(status: int) -> None:
    assert judged(answer(status), policy=SPLIT) == Refused(f"http_{status}", Refusal.PERMANENT)


def test_gone_and_retryable_are_not_divisible() -> None:
    verdicts = [judged(answer(status), policy=SPLIT, records=2) for status in (410, 500)]
    assert verdicts == [Refused("http_410", Refusal.GONE), RetryAt(5.0, "http_500")]


def test_retry_after_is_honoured() -> None:
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 77")) == RetryAt(77.0, "http_503")


def test_retry_after_is_a_lower_bound_and_at_most_an_hour() -> None:
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 1")) == RetryAt(5.0, "http_503")
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 999999")) == RetryAt(3600.0, "http_503")


def test_failure_is_not_an_acknowledgement() -> None:
    assert not acknowledged(no_response())
