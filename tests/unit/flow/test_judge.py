"""The verdict on an exchange: each row of the table in the docstring of `judge`."""

import pytest

from tests.harness.lanes import MIDDLE
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.judge import DELIVERED, Refusal, Refused, RetryAt, Verdict, acknowledged, judge
from webhookd.flow.subscription import Retry

THREE = Retry(max_retries=3)


def answer(status: int, head: bytes = b"HTTP/1.1 200 OK") -> Response:
    return Response(status=status, head=head, body=b"", elapsed_s=0.0)


def no_response(code: FailureCode = FailureCode.TIMEOUT) -> Failure:
    return Failure(code=code, detail="", elapsed_s=0.0, sent=True)


def judged(outcome: Outcome, failures: int = 0, *, probe: bool = False, policy: Retry = THREE) -> Verdict:
    return judge(outcome, policy, failures=failures, probe=probe, chance=MIDDLE, wall_now=0.0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("failures", [0, 3, 9])
def test_any_2xx_is_delivered(status: int, failures: int) -> None:
    assert judged(answer(status), failures) is DELIVERED


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


@pytest.mark.parametrize("code", [FailureCode.ADDRESS_REFUSED, FailureCode.URL_REFUSED])
def test_refusal_by_the_egress_policy_is_permanent(code: FailureCode) -> None:
    assert judged(no_response(code)) == Refused(code.value, Refusal.PERMANENT)
    assert judged(no_response(code), probe=True) == Refused(code.value, Refusal.PERMANENT)


@pytest.mark.parametrize("code", sorted(set(FailureCode) - {FailureCode.ADDRESS_REFUSED, FailureCode.URL_REFUSED}))
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


def test_probe_that_succeeds_is_delivered() -> None:
    assert judged(answer(200), probe=True) is DELIVERED


def test_retry_after_is_honoured() -> None:
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 77")) == RetryAt(77.0, "http_503")


def test_retry_after_is_a_lower_bound_and_at_most_an_hour() -> None:
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 1")) == RetryAt(5.0, "http_503")
    assert judged(answer(503, b"HTTP/1.1 503 Later\r\nRetry-After: 999999")) == RetryAt(3600.0, "http_503")


def test_failure_is_not_an_acknowledgement() -> None:
    assert not acknowledged(no_response())
