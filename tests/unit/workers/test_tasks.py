"""What the Celery task publishes into the queues, on kombu's in-memory transport."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry

from tests.harness.delivery_senders import ref
from webhookd.errors import StoreUnavailable
from webhookd.flow.dispatch.task_message import DeliveryRef, describe, ref_from_wire, ref_to_wire
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.celery_countdown import HEADER
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import BACK_OFF_S
from workers.delivery.tasks import Handler, register
from workers.task_names import DELIVER, FIRST, RETRY

NOW = 1_700_000_000.0
"""The clock of the coordination store."""

PublishRetry = Callable[[DeliveryRef, float], None]


class UnavailableHandler:
    """A handler whose database is down."""

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002  # it never gets there
        raise StoreUnavailable


class FailingHandler:
    """A handler whose deliveries all fail, with a retry left."""

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002
        for one in refs:
            publish_retry(ref(one.id, attempt=one.attempt + 1), 30.0)


class Broker:
    """An application over an in-memory broker, and what lies in its queues."""

    def __init__(self) -> None:
        self.app: Celery = build_celery(Settings.model_validate({"redis_url": "memory://"}))

    def run(
        self,
        handler: Handler,
        refs: list[DeliveryRef],
        queue: str,
        headers: dict[str, Any] | None = None,
    ) -> None:
        """Run the task as a worker would that took it from the queue."""
        register(self.app, lambda: handler, CoordinationClock(lambda: NOW, lambda: 0.0))
        task = self.app.tasks[DELIVER]
        wires = [ref_to_wire(one) for one in refs]
        origin = {"exchange": "", "routing_key": queue, "priority": 0, "redelivered": False}
        facts = {"id": "task-1", "called_directly": False, "delivery_info": origin, "retries": 0, **(headers or {})}
        task.push_request(args=[wires], kwargs={}, **facts)
        try:
            with contextlib.suppress(Retry):
                task.run(wires)
        finally:
            task.pop_request()

    def queued(self, queue: str) -> list[tuple[dict[str, Any], list[DeliveryRef]]]:
        """The headers and delivery references of the tasks in a queue, which is empty afterwards."""
        found = []
        with self.app.connection_for_read() as connection:
            while message := connection.default_channel.basic_get(queue, no_ack=True):
                (wires,) = json.loads(message.body)[0]
                found.append((message.headers, [ref_from_wire(wire) for wire in wires]))
        return found


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker with empty queues. Kombu's memory transport keeps them for the whole process, also for other tests."""
    made = Broker()
    for queue in (FIRST, RETRY):
        made.queued(queue)
    yield made
    for queue in (FIRST, RETRY):
        made.queued(queue)
    made.app.close()


@pytest.mark.parametrize("queue", [FIRST, RETRY])
def test_delayed_task_waits_in_the_queue_it_came_from(broker: Broker, queue: str) -> None:
    refs = [ref("d1"), ref("d2")]
    broker.run(UnavailableHandler(), refs, queue)
    ((headers, again),) = broker.queued(queue)
    assert (again, bool(headers["eta"]), headers["argsrepr"]) == (refs, True, describe(refs))


def test_failed_delivery_goes_to_the_retry_queue(broker: Broker) -> None:
    broker.run(FailingHandler(), [ref("d1")], FIRST)
    ((headers, again),) = broker.queued(RETRY)
    assert (again, broker.queued(FIRST)) == ([ref("d1", attempt=1)], [])
    assert (bool(headers["eta"]), headers["argsrepr"]) == (True, describe(again))


class RefusingHandler:
    """Publishes every delivery again unchanged, as after a claim that a quota has refused."""

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002
        for one in refs:
            publish_retry(one, 2.0)


@pytest.mark.parametrize(("attempt", "queue"), [(0, FIRST), (0, RETRY), (1, RETRY)])
def test_delivery_that_was_not_claimed_keeps_its_queue(broker: Broker, attempt: int, queue: str) -> None:
    one = ref("d1", attempt=attempt)
    broker.run(RefusingHandler(), [one], queue)
    ((headers, again),) = broker.queued(queue)
    assert (again, bool(headers["eta"]), headers["id"] != "task-1") == ([one], True, True)


def test_each_retry_is_a_task_of_its_own(broker: Broker) -> None:
    broker.run(FailingHandler(), [ref("d1"), ref("d2")], FIRST)
    tasks = broker.queued(RETRY)
    assert len({headers["id"] for headers, _ in tasks} - {"task-1"}) == 2


def test_retry_carries_its_wait_by_the_shared_clock(broker: Broker) -> None:
    broker.run(FailingHandler(), [ref("d1")], FIRST)
    ((headers, _),) = broker.queued(RETRY)
    assert headers[HEADER] == {"wait_s": 30.0, "until": NOW + 30.0}


def test_wait_of_an_earlier_retry_is_not_carried_on(broker: Broker) -> None:
    broker.run(UnavailableHandler(), [ref("d1")], RETRY, headers={HEADER: {"wait_s": 30.0, "until": NOW}})
    ((headers, _),) = broker.queued(RETRY)
    assert headers[HEADER] == {"wait_s": BACK_OFF_S, "until": NOW + BACK_OFF_S}
