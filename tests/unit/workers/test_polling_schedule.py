"""The order in which the ingest loop polls its consumers."""

from math import inf

from tests.harness.subscription_consumers import Scene
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.polling_schedule import PollingSchedule


def due_at(poll_at: float) -> SubscriptionConsumer:
    consumer = Scene().consumer
    consumer.poll_at = poll_at
    return consumer


def test_due_consumers_are_taken_in_the_order_of_their_polls() -> None:
    schedule = PollingSchedule()
    late, early, later = due_at(2.0), due_at(1.0), due_at(3.0)
    for consumer in (late, early, later):
        schedule.add(consumer)
    assert (schedule.take_due(2.0), schedule.next_at) == ([early, late], 3.0)


def test_consumers_with_the_same_time_are_taken_in_the_order_they_came() -> None:
    schedule = PollingSchedule()
    consumers = [due_at(1.0) for _ in range(3)]
    for consumer in consumers:
        schedule.add(consumer)
    assert schedule.take_due(1.0) == consumers


def test_empty_schedule_has_no_next_poll() -> None:
    assert (PollingSchedule().take_due(1e9), PollingSchedule().next_at) == ([], inf)
