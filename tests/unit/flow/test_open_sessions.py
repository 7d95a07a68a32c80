"""Which delivery session an ingest process pushes to, and how the deliveries in one share its thread."""

import pytest

from tests.harness.lanes import accumulator, fill
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.delivery_session import LONGEST_S
from webhookd.flow.dispatch.open_sessions import OpenSession, OpenSessions

NOW = 1e6
IDLE_S = 1.0
MOST = 3


@pytest.fixture
def sessions() -> OpenSessions:
    """No session is known."""
    return OpenSessions(idle_s=IDLE_S, most=MOST)


class Deliveries:
    """Makes deliveries, each of a lane of its own."""

    def __init__(self) -> None:
        self._made: list[BatchAccumulator] = []

    def new(self, task: int = 1) -> Delivery:
        made = accumulator()
        self._made.append(made)
        fill(made, 0, [0])
        (delivery,) = made.ready(NOW)
        delivery.shared_task = task
        return delivery


@pytest.fixture
def deliveries() -> Deliveries:
    """Deliveries that are queued."""
    return Deliveries()


def end(delivery: Delivery) -> None:
    """End a delivery, as its final report does."""
    for lane in delivery.lanes:
        lane.delivery = None


def chosen(sessions: OpenSessions, now: float = NOW) -> OpenSession:
    session = sessions.choose(now)
    assert session is not None
    return session


def test_without_a_session_a_task_is_published(sessions: OpenSessions) -> None:
    assert sessions.choose(NOW) is None


def test_started_session_gets_the_next_push(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(7), NOW)
    assert (chosen(sessions).id, chosen(sessions).task) == ("w/1", 7)


def test_deliveries_of_a_session_share_its_thread(sessions: OpenSessions, deliveries: Deliveries) -> None:
    first, second, third = deliveries.new(7), deliveries.new(8), deliveries.new(9)
    sessions.started("w/1", first, NOW)
    chosen(sessions).add([second], NOW)
    assert [(one.shared_task, one.thread_share) for one in (first, second)] == [(7, 0.5)] * 2
    end(first)
    chosen(sessions).add([third], NOW)
    assert [(one.shared_task, one.thread_share) for one in (second, third)] == [(7, 0.5)] * 2


def test_delivery_that_waits_for_its_retry_uses_the_thread_no_more(
    sessions: OpenSessions, deliveries: Deliveries
) -> None:
    failed, second = deliveries.new(7), deliveries.new()
    sessions.started("w/1", failed, NOW)
    failed.stage, failed.shared_task, failed.thread_share = DeliveryStage.RETRYING, 0, 1.0
    chosen(sessions).add([second], NOW)
    assert (failed.thread_share, second.thread_share) == (1.0, 1.0)
    failed.stage = DeliveryStage.CLAIMED  # by its retry, which has a task of its own
    chosen(sessions).add([deliveries.new()], NOW)
    assert (failed.shared_task, failed.thread_share) == (0, 1.0)


def test_push_goes_to_the_session_with_the_fewest_deliveries(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(1), NOW)
    sessions.started("x/1", deliveries.new(2), NOW)
    found = []
    for _ in range(4):
        found.append(chosen(sessions).id)
        chosen(sessions).add([deliveries.new()], NOW)
    assert sorted(found) == ["w/1", "w/1", "x/1", "x/1"]
    assert sessions.choose(NOW) is None  # all have as many as allowed: another worker may open one


def test_session_that_refused_is_forgotten(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(), NOW)
    sessions.forget("w/1")
    sessions.forget("never known")
    assert (sessions.choose(NOW), len(sessions)) == (None, 0)


def test_session_of_an_unclaimed_delivery_is_forgotten(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(1), NOW)
    late = deliveries.new()
    chosen(sessions).add([late], NOW)
    sessions.started("x/1", deliveries.new(2), NOW)
    sessions.unclaimed([late])
    assert (chosen(sessions).id, len(sessions)) == ("x/1", 1)


def test_session_is_forgotten_when_it_was_idle_for_too_long(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(), NOW)
    assert sessions.choose(NOW + IDLE_S - 0.01) is not None
    assert sessions.choose(NOW + IDLE_S) is None


def test_push_keeps_a_session_known_until_its_longest_time(sessions: OpenSessions, deliveries: Deliveries) -> None:
    sessions.started("w/1", deliveries.new(), NOW)
    now = NOW
    while now < NOW + LONGEST_S - 0.5:
        session = chosen(sessions, now)
        delivery = deliveries.new()
        session.add([delivery], now)
        end(delivery)
        now += 0.5
    assert sessions.choose(NOW + LONGEST_S) is None
