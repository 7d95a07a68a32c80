"""Task events are collected, published together, and dropped rather than kept or raised."""

from collections.abc import Callable
from typing import Any

import pytest

from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.task_events import MOST_COLLECTED, CollectingDispatcher


class Broker:
    """Takes what a dispatcher publishes, or refuses it."""

    def __init__(self) -> None:
        self.down = False
        self.published: list[tuple[str, Any]] = []

    def publish(self, event: Any, *, routing_key: str, **_: object) -> None:  # noqa: ANN401 - kombu's
        if self.down:
            raise ConnectionError
        self.published.append((routing_key, event))


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def asked() -> list[int]:
    """One entry for each time that the thread which fetches tasks was asked to publish."""
    return []


@pytest.fixture
def dispatcher(broker: Broker, asked: list[int]) -> CollectingDispatcher:
    app = build_celery(Settings(redis_url="memory://"))
    ask: Callable[[], None] = lambda: asked.append(1)  # noqa: E731 - the type is Celery's
    made: CollectingDispatcher = app.events.Dispatcher(
        app.connection_for_write(), hostname="w", enabled=True, on_send_buffered=ask
    )
    made.producer = broker
    return made


def test_events_of_tasks_are_published_together(dispatcher: CollectingDispatcher, broker: Broker) -> None:
    for kind in ("received", "started", "succeeded"):
        dispatcher.send(f"task-{kind}", uuid="a")
    assert broker.published == []
    dispatcher.send("worker-heartbeat", freq=2)
    assert [key for key, _ in broker.published] == ["worker.heartbeat", "task.multi"]
    (_, events) = broker.published[1]
    assert [event["type"] for event in events] == ["task-received", "task-started", "task-succeeded"]


def test_many_tasks_ask_for_one_publication(dispatcher: CollectingDispatcher, asked: list[int]) -> None:
    for number in range(100):
        dispatcher.send("task-received", uuid=str(number))
    assert asked == [1]


def test_event_says_only_what_is_known(dispatcher: CollectingDispatcher, broker: Broker) -> None:
    dispatcher.send("task-received", uuid="a", args="(b orders/0 5 records)", parent_id=None)
    dispatcher.flush()
    ((_, (event,)),) = broker.published
    assert (event["args"], event["hostname"], "parent_id" in event) == ("(b orders/0 5 records)", "w", False)


def test_events_are_dropped_while_redis_is_down(dispatcher: CollectingDispatcher, broker: Broker) -> None:
    broker.down = True
    dispatcher.send("task-received", uuid="a")
    dispatcher.send("worker-heartbeat", freq=2)
    broker.down = False
    dispatcher.flush()
    assert broker.published == []


def test_collected_events_have_a_bound(dispatcher: CollectingDispatcher, broker: Broker) -> None:
    for number in range(MOST_COLLECTED + 10):
        dispatcher.send("task-received", uuid=str(number))
    dispatcher.flush()
    assert [len(events) for _, events in broker.published] == [MOST_COLLECTED]


def test_worker_in_the_process_of_its_queue_sends_none() -> None:
    sends = {
        url: build_celery(Settings(redis_url=url)).conf.worker_send_task_events
        for url in ("memory://", "redis://127.0.0.1")
    }
    assert sends == {"memory://": False, "redis://127.0.0.1": True}
