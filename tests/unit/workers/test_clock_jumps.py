"""A wall clock that jumps, by hand or by NTP: measured durations stay right, shown times follow the clock.

Oracle: leases, budgets and claims are measured with the monotonic clock, which the tests move by itself.
"""

import pytest

from tests.harness.delivery_senders import OK, SenderScene, answer
from tests.harness.lanes import lane
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.attempt.exchange_result import Response
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.status.delivery_status import FailedAttempt
from workers.ingest.consumer.subscription_health import UNHEALTHY_AFTER_S, SubscriptionHealth

DAY_S = 86400.0
JUMPS = pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])


@JUMPS
def test_delivery_goes_on_when_the_wall_clock_jumps(jump_s: float) -> None:
    scene = SenderScene()
    sender = scene.sender(batches=2)
    first = sender.advance(None)
    scene.wall += jump_s
    second = sender.advance(OK)
    assert (first is not None, second is not None, sender.advance(OK)) == (True, True, None)
    assert sender.report().kind is ReportKind.FINISHED


@JUMPS
def test_date_to_retry_after_is_bounded_when_the_wall_clock_jumps(jump_s: float) -> None:
    scene = SenderScene()
    sender = scene.sender()
    sender.advance(None)
    scene.wall += jump_s
    head = b"HTTP/1.1 503 Later\r\nRetry-After: Thu, 26 Nov 2026 12:00:00 GMT"
    sender.advance(Response(status=503, head=head, body=b"", elapsed_s=0.1))
    assert 0.0 < sender.report().wait_s <= LONGEST_RETRY_AFTER_S


def test_failure_that_began_in_the_future_is_not_too_long() -> None:
    failing = lane()
    failing.circuit.failing_since = DAY_S
    health = SubscriptionHealth(subscription_id="s", since=0.0, failure=FailedAttempt(code="timeout", at=0.0))
    assert not health.failing_too_long([failing], now=1.0)
    assert health.failing_too_long([failing], now=DAY_S + UNHEALTHY_AFTER_S)


def test_failure_has_the_wall_clock_time_of_its_moment() -> None:
    scene = SenderScene()
    sender = scene.sender()
    sender.advance(None)
    scene.wall += DAY_S
    sender.advance(answer(500))
    failure = sender.report().failure
    assert failure is not None
    assert failure.at == scene.wall
