"""When endpoints are asked for their consent. The clock is a number that the test moves."""

from itertools import count

import pytest

from tests.harness.lanes import MIDDLE
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification, VerificationTiming

WITHIN_S = 30.0


def verification(scale: float = 1.0) -> EndpointVerification:
    numbers = count(1)
    timing = VerificationTiming(answer_within_s=WITHIN_S, retry_time_scale=scale)
    return EndpointVerification(timing, lambda: f"question-{next(numbers)}", lambda: MIDDLE)


def refusal(id_: str, wait_s: float = 0.0) -> Report:
    failure = LoggedExchange(1.0, "msg", 200, error="consent_missing", detail="the answer has no challenge")
    return Report(ReportKind.UNVERIFIED, id_, 0, wait_s=wait_s, failure=failure)


def waits_after_refusals(made: EndpointVerification, number: int) -> list[float]:
    """The waits between so many refusals and the questions that follow; each comes at once."""
    now, waits = 0.0, []
    for _ in range(number):
        made.reported(refusal(made.ask(now)), now)
        due = made.next_at(now)
        assert due is not None
        assert not made.due(due - 0.01)
        waits.append(due - now)
        now = due
    return waits


def test_it_is_due_at_once() -> None:
    assert verification().due(-1e9)


def test_waits_double_up_to_five_minutes() -> None:
    assert waits_after_refusals(verification(), 9) == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_waits_never_end() -> None:
    assert waits_after_refusals(verification(), 2000)[-1] == 300.0


def test_time_scale_applies_to_waits() -> None:
    assert waits_after_refusals(verification(0.5), 2) == [2.5, 5.0]


def test_a_longer_wait_that_the_endpoint_asks_for_counts() -> None:
    made = verification()
    made.reported(refusal(made.ask(0.0), wait_s=3600.0), 0.0)
    assert made.next_at(0.0) == 3600.0


def test_a_lost_question_is_repeated_ever_more_rarely() -> None:
    made, now, waits = verification(), 0.0, []
    for _ in range(6):
        made.ask(now)
        begun = now
        while not made.due(now):
            now += 1.0
        waits.append(now - begun)
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]


def test_no_question_is_due_while_an_answer_is_awaited() -> None:
    made = verification()
    made.ask(0.0)
    assert (made.due(WITHIN_S - 0.1), made.next_at(1.0)) == (False, None)


def test_a_refusal_of_an_earlier_question_is_ignored() -> None:
    made = verification()
    first = made.ask(0.0)
    made.ask(WITHIN_S)
    assert not made.reported(refusal(first), WITHIN_S + 1.0)
    assert made.refusals == 0


@pytest.mark.parametrize("asked", [1, 2])
def test_consent_counts_whichever_question_it_answers(asked: int) -> None:
    made = verification()
    ids = [made.ask(0.0), made.ask(WITHIN_S)]
    assert made.reported(Report(ReportKind.VERIFIED, ids[asked - 1], 0), WITHIN_S + 1.0)
    assert (made.consented, made.due(1e9)) == (True, False)


def test_it_goes_on_where_the_process_before_has_ended() -> None:
    made = verification()
    made.resume(6, 100.0)
    assert (made.due(99.0), made.due(100.0)) == (False, True)
    made.reported(refusal(made.ask(100.0)), 100.0)
    assert made.next_at(100.0) == 400.0


def test_detail_says_what_was_answered() -> None:
    made = verification()
    assert made.detail == "no worker has reported an answer yet"
    made.reported(refusal(made.ask(0.0)), 0.0)
    assert made.detail == "consent_missing: the answer has no challenge"
