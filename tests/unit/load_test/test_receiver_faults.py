"""Which requests the receiver of the load test fails, and how the option `--fault` says so.

Oracle: shares counted over many requests, and the documented fields. Nothing is doubled.
"""

from collections import Counter

import click
import msgspec
import pytest

from webhookd_load_test.receiver.fault_choice import FaultChoice
from webhookd_load_test.receiver.fault_flag import EXAMPLE, FaultType, parsed
from webhookd_load_test.receiver.faults import Fault

SECOND = 1_000_000_000
REQUESTS = 10_000

ERROR = Fault(kind="error", share=0.1, status=503)
TIMEOUT = Fault(kind="timeout", share=0.3)
ALL_FAIL = Fault(kind="error")


def kinds(choice: FaultChoice, path: str = "/hook", attempt: int = 1) -> list[str]:
    """The kind of the fault of each of many requests; empty for none."""
    found = (choice.choose(path, ("orders", 0, offset, attempt), 0) for offset in range(REQUESTS))
    return [fault.kind if fault else "" for fault in found]


def test_each_fault_has_its_share_of_the_requests() -> None:
    shares = Counter(kinds(FaultChoice([ERROR, TIMEOUT], seed=1)))
    assert shares["error"] == pytest.approx(0.1 * REQUESTS, rel=0.15)
    assert shares["timeout"] == pytest.approx(0.3 * REQUESTS, rel=0.15)
    assert shares["error"] + shares["timeout"] + shares[""] == REQUESTS


def test_same_requests_fail_again_with_the_same_seed_only() -> None:
    assert kinds(FaultChoice([ERROR, TIMEOUT], seed=-7)) == kinds(FaultChoice([ERROR, TIMEOUT], seed=-7))
    assert kinds(FaultChoice([ERROR, TIMEOUT], seed=1)) != kinds(FaultChoice([ERROR, TIMEOUT], seed=2))


def test_another_attempt_and_another_path_draw_anew() -> None:
    choice = FaultChoice([TIMEOUT], seed=1)
    first, again, elsewhere = kinds(choice), kinds(choice, attempt=2), kinds(choice, path="/other")
    both = sum(one == other == "timeout" for one, other in zip(first, again, strict=True))
    assert both == pytest.approx(0.3 * 0.3 * REQUESTS, rel=0.2)
    assert elsewhere != first


def test_what_comes_first_goes_first_when_shares_exceed_one() -> None:
    shares = Counter(kinds(FaultChoice([Fault(kind="slow", share=0.8), Fault(kind="limit", share=0.8)], seed=1)))
    assert shares["slow"] == pytest.approx(0.8 * REQUESTS, rel=0.1)
    assert shares["limit"] == REQUESTS - shares["slow"]


@pytest.mark.parametrize(
    ("since_ns", "fails"),
    [(0, False), (2 * SECOND - 1, False), (2 * SECOND, True), (3 * SECOND - 1, True), (3 * SECOND, False)],
)
def test_fault_is_active_between_its_times(since_ns: int, fails: bool) -> None:
    choice = FaultChoice([Fault(kind="timeout", from_s=2, to_s=3)], seed=1)
    assert (choice.choose("/hook", (1,), since_ns) is not None) is fails


def test_fault_of_a_path_leaves_others_alone() -> None:
    choice = FaultChoice([Fault(kind="error", path="/orders")], seed=1)
    assert [choice.choose(path, (1,), 0) is not None for path in ("/orders", "/orders/1", "/hook")] == [
        True,
        True,
        False,
    ]


def test_path_may_have_any_character() -> None:
    assert FaultChoice([ALL_FAIL], seed=1).choose("/\udcff", ("\ud800",), 0) == ALL_FAIL


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (EXAMPLE, Fault(kind="error", share=0.1, status=503, from_s=10, to_s=20)),
        ("timeout", Fault(kind="timeout")),
        ("limit:retry_after=5,share=0.2", Fault(kind="limit", share=0.2, retry_after_s=5)),
        ("slow:delay=2.5,path=/hook?a=1", Fault(kind="slow", delay_s=2.5, path="/hook?a=1")),
    ],
)
def test_option_says_a_fault(text: str, fault: Fault) -> None:
    assert parsed(text) == fault


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("broken", "'broken' is none of error, limit, timeout, slow"),
        ("", "'' is none of"),
        ("error:shares=0.1", "'shares=0.1' is none of share=…, status=…"),
        ("error:share", "'share' is none of"),
        ("error:share=much", "share=much is not a number"),
        ("error:share=1.5", "share: expected `float` <= 1.0"),
        ("error:share=nan", "share=nan is not a number"),
        ("error:status=5e2", "status=5e2 is not a whole number"),
        ("error:status=200", "status: expected `int` >= 300"),
        ("error:share=0.1,share=0.2", "share is given twice"),
        ("timeout:status=503", "status is for the kind `error`, not for `timeout`"),
        ("error:retry_after=3", "retry_after is for the kind `limit`"),
        ("limit:delay=3", "delay is for the kind `slow`"),
        ("slow:from=3,to=3", "to 3 is not after from 3"),
        ("slow:delay=inf", "delay=inf is not a number"),
        ("slow:delay=3601", "delay: expected `float` <= 3600.0"),
    ],
)
def test_option_that_says_no_fault_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        FaultType().convert(text, None, None)
    assert reason in refused.value.message
    assert EXAMPLE in refused.value.message
    assert "\n" not in refused.value.message
    assert "$" not in refused.value.message


def test_scenario_cannot_say_a_field_of_another_kind() -> None:
    with pytest.raises(msgspec.ValidationError, match="`delay_s` is for the kind `slow`"):
        msgspec.convert([{"kind": "limit", "delay_s": 3.0}], list[Fault])
