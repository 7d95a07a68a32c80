"""Deliveries of a subscription with quotas, in the worker: when each request begins, and what is not sent now.

The store in memory counts; the test moves the sender's clock.
"""

from collections.abc import Sequence

import pytest

from tests.harness.delivery_senders import OK, SenderScene, answer
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.destination import RateLimit, RateUnit
from webhookd.flow.dispatch.request_quota import Permit, Quota, SendSchedule
from workers.delivery.delivery_sender import LONGEST_PACED_S, DeliverySender, Pacing

INTERVAL_S = 0.1
"""The time between two tokens."""


def quota(burst: int = 1, unit: RateUnit = RateUnit.REQUESTS) -> Quota:
    return Quota(subject="s1", rate=RateLimit(per_second=1 / INTERVAL_S, burst=burst, unit=unit))


def permit(*quotas: Quota, reserved: int = 3, ahead_s: float = 0.0) -> Permit:
    count = len(quotas)
    return Permit(holder="d1.0", quotas=quotas, reserved=(reserved,) * count, ahead_s=(ahead_s,) * count)


class Waits:
    """A loop that runs a sender to its end, and moves the clock for each wait."""

    def __init__(self, scene: SenderScene, given: Permit, batches: int = 3) -> None:
        self.scene = scene
        self.waits: list[float] = []
        self.sent_at: list[float] = []
        made = scene.sender(batches=batches)
        self.sender = DeliverySender(
            made.ref,
            made.batches,
            scene.template,
            limits=scene.limits,
            clocks=scene.clocks,
            ended=scene.ended.append,
            pacing=Pacing(SendSchedule(given, scene.now), lambda _sender, wait_s: self.waits.append(wait_s)),
        )

    def run(self, outcomes: Sequence[Outcome] = (), takes_s: float = 0.0) -> None:
        """Answer each request, first with these outcomes, then with 200."""
        answers = [*outcomes]
        outcome: Outcome | None = None
        while not self.scene.ended:
            waited = len(self.waits)
            request = self.sender.advance(outcome)
            outcome = None
            if request is not None:
                self.sent_at.append(round(self.scene.now - 100.0, 3))
                self.scene.now += takes_s
                outcome = answers.pop(0) if answers else OK
            elif len(self.waits) > waited:
                self.scene.now += self.waits[-1]


def test_requests_begin_when_their_tokens_are_there() -> None:
    loop = Waits(SenderScene(), permit(quota()))
    loop.run()
    assert loop.sent_at == [0.0, 0.1, 0.2]


def test_burst_is_sent_at_once() -> None:
    loop = Waits(SenderScene(), permit(quota(burst=2)))
    loop.run()
    assert loop.sent_at == [0.0, 0.0, 0.1]


def test_first_request_waits_for_those_before_it() -> None:
    loop = Waits(SenderScene(), permit(quota(), ahead_s=0.15))
    loop.run()
    assert loop.sent_at == [0.15, 0.25, 0.35]


def test_slow_endpoint_needs_no_wait() -> None:
    loop = Waits(SenderScene(), permit(quota()))
    loop.run(takes_s=0.12)
    assert (loop.sent_at, loop.waits) == ([0.0, 0.12, 0.24], [])


def test_strictest_quota_decides() -> None:
    slow = Quota(subject="host:example.com", rate=RateLimit(per_second=5.0, burst=1))
    loop = Waits(SenderScene(), permit(quota(), slow, reserved=2), batches=2)
    loop.run()
    assert loop.sent_at == [0.0, 0.2]


def test_waits_count_neither_as_budget_nor_as_time_of_the_endpoint() -> None:
    scene = SenderScene(budget_s=0.05)
    loop = Waits(scene, permit(quota()))
    loop.run(takes_s=0.01)
    (sender,) = scene.ended
    assert (sender.report().kind, sender.report().done) == (ReportKind.FINISHED, 3)
    assert sender.elapsed_s == pytest.approx(0.03)


def test_delivery_ends_when_its_requests_would_wait_too_long() -> None:
    """As after a restart of ingest, which did not know that the bucket was empty."""
    scene = SenderScene()
    loop = Waits(scene, permit(quota(burst=100), reserved=100, ahead_s=100 * INTERVAL_S), batches=100)
    loop.run()
    (sender,) = scene.ended
    assert sum(loop.waits) <= LONGEST_PACED_S
    report, used = sender.report(), sender.used_permit()
    assert (report.kind, report.done) == (ReportKind.FINISHED, int(LONGEST_PACED_S / INTERVAL_S))
    assert used is not None
    assert used.taken == (report.done,)


def test_first_request_waits_however_long_it_takes() -> None:
    loop = Waits(SenderScene(), permit(quota(), ahead_s=2 * LONGEST_PACED_S))
    loop.run()
    assert loop.sent_at == [2 * LONGEST_PACED_S]


def test_revoked_delivery_ends_after_its_wait() -> None:
    scene = SenderScene()
    loop = Waits(scene, permit(quota(), ahead_s=0.2))
    assert loop.sender.advance(None) is None
    loop.sender.stopped = True
    scene.now += 0.2
    assert loop.sender.advance(None) is None
    assert [(sender.report().kind, sender.report().done) for sender in scene.ended] == [(ReportKind.FINISHED, 0)]


def test_what_was_not_sent_is_given_back() -> None:
    scene = SenderScene()
    loop = Waits(scene, permit(quota(burst=3)))
    loop.run([OK, answer(500)])
    used = loop.sender.used_permit()
    assert used is not None
    assert used.taken == (2,)
    assert used.unused_s() == pytest.approx((INTERVAL_S,))


def test_records_are_counted_where_the_unit_says_so() -> None:
    schedule = SendSchedule(permit(quota(burst=10, unit=RateUnit.RECORDS), reserved=30), 100.0)
    at = []
    for records in (10, 4, 16):
        at.append(schedule.starts_at(records))
        schedule.begun(records)
    assert at == pytest.approx([100.0, 100.4, 102.0])
    assert schedule.used().taken == (30,)


def test_sender_without_quotas_has_no_permit() -> None:
    scene = SenderScene()
    assert scene.sender().used_permit() is None
