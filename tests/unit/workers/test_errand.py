"""A delivery on the exchange loop, fed outcomes by hand under a clock that the test moves."""

from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from tests.harness.errands import BOUNDS, OK, Hands, answer, silence
from webhookd.flow.outcome import FailureCode, Outcome
from webhookd.flow.report import Exchange, Kind
from webhookd.flow.subscription import Retry
from workers.errand import SUCCESS_BODY_BYTES


@dataclass(frozen=True, slots=True)
class End:
    kind: Kind
    done: int


def end_of(hands: Hands) -> End:
    """How the errand says that it ended; it ended exactly once."""
    (errand,) = hands.ended
    report = errand.report()
    return End(report.kind, report.done)


def test_sends_batches_one_after_another() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    bodies = [hands.body_of(errand.advance(outcome)) for outcome in (None, OK, OK)]
    assert bodies == [b"body-0", b"body-1", b"body-2"]
    assert errand.advance(OK) is None
    assert end_of(hands) == End(Kind.FINISHED, 3)


def test_request_carries_the_webhook_headers() -> None:
    hands = Hands()
    request = hands.errand(batches=1).advance(None) or b""
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[-3:] == [b"webhook-id: msg_0", b"webhook-timestamp: 1700000000", b"Content-Length: 6"]
    assert (head.startswith(hands.plan.head), body) == (True, b"body-0")


def test_time_budget_ends_with_what_is_done() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.advance(None)
    hands.now += BOUNDS.budget_s
    assert errand.advance(OK) is None
    assert end_of(hands) == End(Kind.FINISHED, 1)


def test_time_budget_runs_from_the_first_request() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    hands.now += 2 * BOUNDS.budget_s
    assert errand.advance(None) is not None


def test_lease_runs_from_the_claim() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    hands.now += BOUNDS.lease_s
    assert errand.advance(None) is None
    assert end_of(hands) == End(Kind.FINISHED, 0)


def test_lease_that_ran_out_stops_sending() -> None:
    hands = Hands(budget_s=60.0)
    errand = hands.errand(batches=3)
    errand.advance(None)
    hands.now += BOUNDS.lease_s
    assert errand.advance(OK) is None
    assert end_of(hands) == End(Kind.FINISHED, 1)


def test_renewed_lease_goes_on_sending() -> None:
    hands = Hands(budget_s=60.0)
    errand = hands.errand(batches=3)
    errand.advance(None)
    hands.now += BOUNDS.lease_s
    errand.lease_end = hands.now + 1.0
    assert errand.advance(OK) is not None


def test_stopped_errand_ends_after_its_request() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.advance(None)
    errand.stopped = True
    assert errand.advance(OK) is None
    assert end_of(hands) == End(Kind.FINISHED, 1)


def test_stopped_before_the_first_request_sends_nothing() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.stopped = True
    assert errand.advance(None) is None
    assert end_of(hands) == End(Kind.FINISHED, 0)


@pytest.mark.parametrize("outcome", [answer(500), answer(429), silence(FailureCode.TIMEOUT)])
def test_failure_is_reported_with_its_retry(outcome: Outcome) -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.advance(None)
    errand.advance(OK)
    assert errand.advance(outcome) is None
    assert end_of(hands) == End(Kind.RETRY, 1)
    assert errand.report().wait_s == 5.0


@pytest.mark.parametrize(("status", "kind"), [(302, Kind.EXHAUSTED), (404, Kind.EXHAUSTED), (410, Kind.GONE)])
def test_refusal_ends_without_a_retry(status: int, kind: Kind) -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.advance(None)
    errand.advance(OK)
    assert errand.advance(answer(status)) is None
    assert end_of(hands) == End(kind, 1)


@pytest.mark.parametrize(("succeeds", "wait_s"), [(False, 40.0), (True, 5.0)])
def test_failures_before_the_delivery_count_for_its_first_batch(*, succeeds: bool, wait_s: float) -> None:
    errand = Hands().errand(batches=2, failures=3)
    errand.advance(None)
    if succeeds:
        errand.advance(OK)
    errand.advance(answer(500))
    assert errand.report().wait_s == wait_s


def test_attempt_counts_as_failures_so_far() -> None:
    hands = Hands()
    errand = hands.errand(batches=1, attempt=2)
    errand.advance(None)
    errand.advance(answer(500))
    assert errand.report().wait_s == 20.0


def test_last_failure_exhausts() -> None:
    hands = Hands(retry=Retry(max_retries=2))
    errand = hands.errand(batches=2, attempt=2)
    errand.advance(None)
    errand.advance(answer(500))
    assert end_of(hands) == End(Kind.EXHAUSTED, 0)


def test_last_failure_after_a_success_exhausts_too() -> None:
    hands = Hands(retry=Retry(max_retries=0))
    errand = hands.errand(batches=2)
    errand.advance(None)
    errand.advance(OK)
    errand.advance(answer(500))
    assert end_of(hands) == End(Kind.EXHAUSTED, 1)


def test_failed_probe_is_not_retried() -> None:
    hands = Hands()
    errand = hands.errand(batches=1, probe=True)
    errand.advance(None)
    errand.advance(answer(500))
    assert end_of(hands) == End(Kind.EXHAUSTED, 0)


@pytest.mark.parametrize("retries", [0, 5])
def test_our_own_stop_is_no_failure(retries: int) -> None:
    hands = Hands(retry=Retry(max_retries=retries))
    errand = hands.errand(batches=3)
    errand.advance(None)
    errand.advance(OK)
    assert errand.advance(silence(FailureCode.SHUTDOWN)) is None
    assert end_of(hands) == End(Kind.FINISHED, 1)
    assert (errand.failure_code, errand.report().failure) == ("", None)


def test_progress_says_how_far_it_got() -> None:
    hands = Hands()
    errand = hands.errand(batches=3)
    errand.advance(None)
    hands.now += 0.2
    errand.advance(OK)
    report = errand.progress()
    assert (report.kind, report.done) == (Kind.PROGRESS, 1)
    assert report.sending_s == pytest.approx(0.2)


def test_report_shows_the_last_success_shortened() -> None:
    hands = Hands()
    errand = hands.errand(batches=2)
    errand.advance(None)
    errand.advance(answer(201, b"x" * 5000))
    errand.advance(answer(202, b"y" * 5000))
    success = errand.report().success
    assert success == Exchange(hands.wall, "msg_1", 202, b"HTTP/1.1 202", b"y" * SUCCESS_BODY_BYTES)


def test_report_shows_the_failed_answer_whole() -> None:
    hands = Hands()
    errand = hands.errand(batches=2)
    errand.advance(None)
    errand.advance(OK)
    errand.advance(answer(500, b"y" * 5000))
    assert errand.report().failure == Exchange(hands.wall, "msg_1", 500, b"HTTP/1.1 500", b"y" * 5000, "http_500")
    assert errand.failure_code == "http_500"


def test_report_shows_why_there_was_no_answer() -> None:
    hands = Hands()
    errand = hands.errand(batches=1)
    errand.advance(None)
    errand.advance(silence(FailureCode.DNS_FAILED))
    assert errand.report().failure == Exchange(hands.wall, "msg_0", error="dns_failed", detail="as the test says")


def test_report_says_how_long_it_took() -> None:
    hands = Hands()
    errand = hands.errand(batches=1)
    hands.now += 0.1
    errand.advance(None)
    hands.now += 0.3
    errand.advance(OK)
    assert errand.report().sending_s == pytest.approx(0.3)


def test_each_attempt_is_logged_when_asked() -> None:
    hands = Hands()
    hands.bounds = replace(hands.bounds, log_attempts=True)
    errand = hands.errand(batches=2)
    with capture_logs() as lines:
        for outcome in (None, OK, silence(FailureCode.TIMEOUT)):
            errand.advance(outcome)
    same = {"event": "attempt", "log_level": "debug", "subscription": "s1", "delivery": "d1", "attempt": 0}
    told = [{name: line[name] for name in line if name not in {"module", "lanes", *same}} for line in lines]
    assert all(same.items() <= line.items() and line["lanes"] == ["orders/0"] for line in lines)
    assert told == [
        {"webhook_id": "msg_0", "elapsed_s": 0.01, "status": 200},
        {"webhook_id": "msg_1", "elapsed_s": 0.01, "code": "timeout"},
    ]


def test_attempts_are_not_logged_unasked() -> None:
    hands = Hands()
    errand = hands.errand()
    with capture_logs() as lines:
        errand.advance(None)
        errand.advance(OK)
    assert lines == []
