"""Which tokens a delivery gives back to the pace of its subscription: the table in `in_flight`."""

import pytest

from tests.harness.deliveries_in_flight import Scene
from tests.harness.lanes import fill, in_flight_deliveries, lane_of, paced_accumulator
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.destination import RateLimit
from webhookd.flow.dispatch.request_quota import Quota

NOW = 99.0

RATE = Quota(subject="s1", rate=RateLimit(per_second=0.001, burst=8))
"""Eight tokens; none comes back during a test."""


def paced_scene() -> Scene:
    """Four batches of one record in one lane, for which four tokens were taken."""
    made, in_flight = paced_accumulator([RATE]), in_flight_deliveries()
    lane_of(made).throughput.measured(8, 0.001)
    fill(made, 0, range(4))
    (delivery,) = made.ready(NOW)
    in_flight.published(delivery, NOW)
    return Scene(accumulator=made, in_flight=in_flight, delivery=delivery)


def tokens_left(at: Scene) -> int:
    """How many requests of one record each may leave now."""
    room = at.accumulator.pace.room((), NOW)
    assert room is not None
    return room.batches(1) if room.admits(1) else 0


NOT_SENT = [ReportKind.STALE, ReportKind.UNREADABLE, ReportKind.UNUSABLE]


@pytest.mark.parametrize("kind", NOT_SENT)
def test_tokens_of_what_was_not_sent_are_given_back(kind: ReportKind) -> None:
    at = paced_scene()
    before = tokens_left(at)
    at.report(kind, now=NOW)
    assert (before, tokens_left(at)) == (4, 8)


@pytest.mark.parametrize("kind", NOT_SENT)
def test_second_copy_that_was_not_sent_gives_no_tokens_back(kind: ReportKind) -> None:
    at = paced_scene()
    at.report(ReportKind.STARTED, now=NOW)
    at.report(kind, now=NOW)
    assert tokens_left(at) == 4


@pytest.mark.parametrize("kind", NOT_SENT)
def test_retry_that_was_not_sent_has_taken_no_token(kind: ReportKind) -> None:
    at = paced_scene()
    at.report(ReportKind.RETRY, done=1, now=NOW)
    before = tokens_left(at)
    at.report(kind, now=NOW)
    assert (before, tokens_left(at)) == (6, 6)


@pytest.mark.parametrize("kind", [ReportKind.EXHAUSTED, ReportKind.GONE])
def test_last_attempt_gives_back_the_tokens_behind_the_failed_batch(kind: ReportKind) -> None:
    at = paced_scene()
    at.report(ReportKind.STARTED, now=NOW)
    at.report(kind, done=1, now=NOW)
    assert tokens_left(at) == 6


def test_lost_worker_may_have_used_its_tokens() -> None:
    at = paced_scene()
    at.report(ReportKind.STARTED, now=NOW)
    at.in_flight.worker_lost(at.delivery, NOW)
    assert tokens_left(at) == 4
