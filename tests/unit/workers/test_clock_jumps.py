"""A wall clock that jumps, by hand or by NTP: what is measured in lengths goes on, what is shown follows.

Oracle: leases, budgets and claims are counted on the monotonic clock, which the tests move apart from the wall's.
"""

import pytest

from tests.harness.errands import OK, Hands, answer
from tests.harness.lanes import lane
from webhookd.flow.delivery_status import FailedAttempt
from webhookd.flow.outcome import Response
from webhookd.flow.report import Kind
from webhookd.flow.retry import LONGEST_RETRY_AFTER_S
from workers.ingest.vitals import UNHEALTHY_AFTER_S, Vitals

DAY_S = 86400.0
JUMPS = pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])


@JUMPS
def test_delivery_goes_on_when_the_wall_clock_jumps(jump_s: float) -> None:
    hands = Hands()
    errand = hands.errand(batches=2)
    first = errand.advance(None)
    hands.wall += jump_s
    second = errand.advance(OK)
    assert (first is not None, second is not None, errand.advance(OK)) == (True, True, None)
    assert errand.report().kind is Kind.FINISHED


@JUMPS
def test_date_to_retry_after_is_bounded_when_the_wall_clock_jumps(jump_s: float) -> None:
    hands = Hands()
    errand = hands.errand()
    errand.advance(None)
    hands.wall += jump_s
    head = b"HTTP/1.1 503 Later\r\nRetry-After: Thu, 26 Nov 2026 12:00:00 GMT"
    errand.advance(Response(status=503, head=head, body=b"", elapsed_s=0.1))
    assert 0.0 < errand.report().wait_s <= LONGEST_RETRY_AFTER_S


def test_lane_that_began_to_fail_in_the_future_is_not_too_long_about_it() -> None:
    failing = lane()
    failing.failing_since = DAY_S
    vitals = Vitals(subscription_id="s", since=0.0, failure=FailedAttempt(code="timeout", at=0.0))
    assert not vitals.too_long([failing], now=1.0)
    assert vitals.too_long([failing], now=DAY_S + UNHEALTHY_AFTER_S)


def test_failure_is_told_by_the_wall_clock_of_its_moment() -> None:
    hands = Hands()
    errand = hands.errand()
    errand.advance(None)
    hands.wall += DAY_S
    errand.advance(answer(500))
    failure = errand.report().failure
    assert failure is not None
    assert failure.at == hands.wall
