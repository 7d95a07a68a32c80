"""A retry between two workers whose clocks differ by ten minutes, over a real Redis: it waits for its countdown.

Real: Celery at both ends, its consumer and its timer, Redis and its clock. The test shifts the publisher's wall clock;
the consumer's is the machine's. The test does not wait: it reads the time that Celery has set its timer to.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from celery import Celery
from celery.worker.request import Request

from tests.harness.coordination import lose_everything
from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from webhookd import clock
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.flow.dispatch.task_message import DeliveryRef, ref_to_wire
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import PublishRetry
from workers.delivery.tasks import register
from workers.embedded_worker import EmbeddedWorker
from workers.task_names import DELIVER, FIRST

WAIT_S = 120.0
INEXACT_S = 20.0
"""How long a busy machine may take to read the time from Redis; far below the wait and the shift."""


class FailingHandler:
    """A handler whose deliveries all fail, with a retry left; counts them."""

    def __init__(self) -> None:
        self.deliveries = 0

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002
        self.deliveries += len(refs)
        for one in refs:
            publish_retry(ref(one.id, attempt=one.attempt + 1), WAIT_S)


class Workers:
    """Celery applications over one Redis, as in worker processes on different machines."""

    def __init__(self, url: str) -> None:
        self.settings = Settings.model_validate({"redis_url": url, "redis_key_prefix": f"clock:{uuid.uuid4().hex}:"})
        self.coordination = RedisCoordination(parse(url), self.settings.redis_key_prefix)
        self.handler = FailingHandler()
        self._apps: list[Celery] = []

    def app(self, ahead_s: float = 0.0) -> Celery:
        """An application whose wall clock is so far ahead."""
        made = build_celery(self.settings)
        right = made.now

        def now() -> datetime:
            time: datetime = right()
            return time + timedelta(seconds=ahead_s)

        made.now = now
        register(made, lambda: self.handler, CoordinationClock(self.coordination.now, clock.monotonic))
        self._apps.append(made)
        return made

    def close(self) -> None:
        """Close the applications, and delete the test's keys from Redis."""
        for app in self._apps:
            app.close()
        self.coordination.close()
        lose_everything(self.settings.redis_url, self.settings.redis_key_prefix)


@pytest.fixture
def workers(redis_url: str) -> Iterator[Workers]:
    made = Workers(redis_url)
    yield made
    made.close()


def fail(app: Celery) -> None:
    """Run the task of a delivery that fails with a retry left."""
    wires = [ref_to_wire(ref("d1"))]
    origin = {"exchange": "", "routing_key": FIRST, "priority": 0, "redelivered": False}
    task = app.tasks[DELIVER]
    task.push_request(id="task-1", called_directly=False, delivery_info=origin, args=[wires], kwargs={}, retries=0)
    task.run(wires)
    task.pop_request()


@pytest.mark.parametrize("ahead_s", [-600.0, 0.0, 600.0])
def test_retry_waits_its_countdown_whatever_the_wall_clocks_show(workers: Workers, ahead_s: float) -> None:
    before = clock.monotonic()
    fail(workers.app(ahead_s))
    consumer = EmbeddedWorker(workers.app(), threads=1)
    consumer.start()
    try:
        until(lambda: bool(timers(consumer)), "the retry was received")
        assert workers.handler.deliveries == 1
        assert before + WAIT_S - INEXACT_S <= timers(consumer)[0] <= clock.monotonic() + WAIT_S
    finally:
        consumer.stop(30.0)


def timers(consumer: EmbeddedWorker) -> list[float]:
    """The monotonic times of the tasks in Celery's timer."""
    return [at for at, _, entry in consumer._controller.timer.queue if any(isinstance(a, Request) for a in entry.args)]
