"""A fail-over by Sentinel: every client goes on with the server that the Sentinel then names.

Real: two Redis servers and a Sentinel, coordination store, kombu's connections, Celery at both ends. The primary is
killed. (test_redis_connections.py has the case of a primary that becomes a replica under open connections.)
"""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis

from stack import redis
from stack.free_ports import free_ports
from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from tests.harness.subscriber_thread import SubscriberThread
from webhookd import clock
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_settings import address_of
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.change_notification import ChangeNotification, SubscriptionChanged
from webhookd.flow.dispatch.coordination import Publication
from webhookd.flow.dispatch.task_message import DeliveryRef, ref_to_wire
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import PublishRetry
from workers.delivery.tasks import register
from workers.embedded_worker import EmbeddedWorker
from workers.task_names import DELIVER, FIRST

PREFIX = "sentinel-test:"
NAME = "main"
WAIT_S = 30.0

pytestmark = pytest.mark.redis


class WatchedPair:
    """A context with a primary, its replica, and a Sentinel that soon promotes the replica of a dead primary."""

    def __init__(self, folder: Path) -> None:
        first, second, sentinel = free_ports(3)
        self._folder, self._sentinel_port = folder, sentinel
        for name in ("first", "second", "sentinel"):
            (folder / name).mkdir()
        self.primary = redis.start(folder / "first", first, {"repl-diskless-sync-delay": 0})
        self.replica = redis.start(folder / "second", second, {"replicaof": f"127.0.0.1 {first}"})
        lines = [
            f"sentinel monitor {NAME} 127.0.0.1 {first} 1",
            f"sentinel down-after-milliseconds {NAME} 500",
            f"sentinel failover-timeout {NAME} 5000",
        ]
        with Redis.from_url(self.replica.address, decode_responses=True) as client:
            self.replica.wait_ready()
            until(lambda: client.info("replication").get("master_link_status") == "up", "the replica is in sync")
        self.sentinel = redis.start_sentinel(folder / "sentinel", sentinel, lines)
        self.url = f"sentinel://127.0.0.1:{sentinel}/0?master={NAME}"

    def __enter__(self) -> Self:
        """Wait until the Sentinel knows both servers."""
        self.sentinel.wait_ready()
        with Redis(port=self._sentinel_port, decode_responses=True) as client:
            until(lambda: len(client.sentinel_slaves(NAME)) == 1, "the Sentinel knows the replica")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of them."""
        for server in (self.sentinel, self.primary, self.replica):
            server.stop()

    def kill_primary(self) -> None:
        """Kill the primary, and wait until the Sentinel has promoted the replica."""
        self.primary.kill()
        port = urlsplit(self.replica.address).port
        with Redis(port=self._sentinel_port, decode_responses=True) as client:
            until(
                lambda: client.sentinel_get_master_addr_by_name(NAME) == ("127.0.0.1", port),
                "the Sentinel names the other server",
            )


@pytest.fixture
def pair(redis_url: str, tmp_path: Path) -> Iterator[WatchedPair]:  # noqa: ARG001  # skips the test without Redis
    """The two servers and the Sentinel."""
    with WatchedPair(tmp_path) as made:
        yield made


@pytest.fixture
def settings(pair: WatchedPair) -> Settings:
    """The settings of a process."""
    return Settings.model_validate({"redis_url": pair.url, "redis_key_prefix": PREFIX})


@pytest.fixture
def coordination(settings: Settings) -> Iterator[RedisCoordination]:
    """A coordination store."""
    made = RedisCoordination(address_of(settings), PREFIX)
    yield made
    made.close()


class NamingHandler:
    """A task handler that only keeps the names of the deliveries."""

    def __init__(self) -> None:
        self.received: queue.Queue[str] = queue.Queue()

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002
        """Keep the names."""
        del publish_retry
        for one in refs:
            self.received.put(one.id)


# Celery warns of a default that will change, which webhookd sets.
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_everything_goes_on_after_the_primary_was_killed(
    pair: WatchedPair, settings: Settings, coordination: RedisCoordination
) -> None:
    handler = NamingHandler()
    app = build_celery(settings)
    register(app, lambda: handler, CoordinationClock(coordination.now, clock.monotonic))
    worker = EmbeddedWorker(app, threads=1)
    worker.start()
    notifier = ChangeNotifier(address_of(settings), key_prefix=PREFIX)
    with SubscriberThread(address_of(settings), key_prefix=PREFIX) as notified:
        publish(app, "before")
        assert handler.received.get(timeout=WAIT_S) == "before"
        pair.kill_primary()
        until(lambda: works(coordination.ping), "the coordination store writes again")
        coordination.make_claimable([Publication(ref("d1"), b"payload")])
        assert coordination.claim([ref("d1")]) == [b"payload"]
        until(lambda: works(lambda: publish(app, "after")), "a task is published")
        assert handler.received.get(timeout=WAIT_S) == "after"
        until(lambda: works(notifier.ping), "the notifier writes again")
        until(lambda: notified_after(notifier, notified), "the subscriber is connected again")
    worker.stop(WAIT_S)
    notifier.close()


def publish(app: Celery, delivery: str) -> None:
    app.send_task(DELIVER, args=[[ref_to_wire(ref(delivery))]], queue=FIRST, retry=False, ignore_result=True)


def works(call: Callable[[], None]) -> bool:
    """Whether a call succeeds."""
    try:
        call()
    except (QueueUnavailable, OperationalError):
        return False
    return True


def notified_after(notifier: ChangeNotifier, received: "queue.Queue[ChangeNotification]") -> bool:
    """Whether a notification arrives."""
    notifier.publish(SubscriptionChanged(id="after", version=2))
    try:
        return received.get(timeout=0.5) == SubscriptionChanged(id="after", version=2)
    except queue.Empty:
        return False
