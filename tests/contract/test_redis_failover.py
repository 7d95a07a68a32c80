"""A primary that becomes a replica under open connections: every client reconnects to the new primary.

Real: two Redis servers behind a relay (harness/redis_pair.py), coordination store, kombu's and Celery's connections.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis

from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from tests.harness.redis_pair import RedisPair
from tests.harness.subscriber_thread import SubscriberThread
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.control.change_notification import SubscriptionChanged
from webhookd.flow.dispatch.coordination import Publication, ReportFlush
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.task_names import DELIVER, FIRST

PREFIX = "failover-test:"
REPLY = "ingest"

pytestmark = pytest.mark.redis


@pytest.fixture
def pair(redis_url: str, tmp_path: Path) -> Iterator[RedisPair]:  # noqa: ARG001  # skips the test without Redis
    """A primary and its replica."""
    with RedisPair(tmp_path) as made:
        yield made


@pytest.fixture
def coordination(pair: RedisPair) -> Iterator[RedisCoordination]:
    """A coordination store whose connections lead to the primary through the relay."""
    made = RedisCoordination(parse(pair.address), PREFIX)
    yield made
    made.close()


def test_coordination_reconnects_to_the_new_primary(pair: RedisPair, coordination: RedisCoordination) -> None:
    coordination.ping()
    pair.fail_over()
    with pytest.raises(QueueUnavailable, match="READONLY"):
        coordination.ping()
    coordination.make_claimable([Publication(ref("d1"), b"payload")])
    assert coordination.claim([ref("d1")]) == [b"payload"]


def test_script_and_transaction_reconnect_too(pair: RedisPair, coordination: RedisCoordination) -> None:
    reports = ReportFlush(reports={REPLY: [Report(ReportKind.STALE, "d1", 0)]})
    calls: list[Callable[[], object]] = [
        lambda: coordination.make_claimable([Publication(ref("d1"), b"payload")]),
        lambda: coordination.send_reports(reports),
    ]
    for call in calls:
        call()
        pair.fail_over()
        with pytest.raises(QueueUnavailable, match="READONLY"):
            call()
        call()


def test_connections_that_only_read_are_dropped_with_the_others(
    pair: RedisPair, coordination: RedisCoordination
) -> None:
    readers = 3
    gate = threading.Barrier(readers)
    with ThreadPoolExecutor(readers) as pool:

        def read(number: int) -> None:
            gate.wait(10)
            coordination.read_reports(f"reader-{number}", "0", 0.2)

        list(pool.map(read, range(readers)))  # each on a connection of its own
        pair.fail_over()
        with pytest.raises(QueueUnavailable):
            coordination.ping()
        with pair.client(1) as replica:
            list(pool.map(read, range(readers)))
            until(lambda: _clients(replica) == [], "no client is connected to the replica")


def _clients(server: Redis) -> list[str]:
    """The last commands of webhookd's clients, without those of the replication and of this call."""
    found: Any = server.client_list()
    return [client["cmd"] for client in found if client["flags"] in {"N", "b"} and client["cmd"] != "client|list"]


def test_blocked_report_reader_continues_on_the_new_primary(pair: RedisPair, coordination: RedisCoordination) -> None:
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(coordination.read_reports, REPLY, "0", 4.0)
        with pair.client(0) as primary:
            until(lambda: "xread" in _clients(primary), "the reader waits")
        pair.fail_over()
        with pytest.raises(QueueUnavailable, match="UNBLOCKED"):
            reading.result(10)
    report = Report(ReportKind.STALE, "d1", 0)
    coordination.send_reports(ReportFlush(reports={REPLY: [report]}))
    assert coordination.read_reports(REPLY, "0", 5.0)[0] == [report]


def test_redis_that_answers_and_refuses_writes_is_said(pair: RedisPair, coordination: RedisCoordination) -> None:
    notifier = ChangeNotifier(parse(pair.address), key_prefix=PREFIX)
    notifier.ping()
    pair.refuse()
    for _ in range(2):
        for call in (coordination.ping, notifier.ping):
            with pytest.raises(QueueUnavailable, match="READONLY"):
                call()
    notifier.close()


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [("maxmemory", "1", "OOM|maxmemory"), ("min-replicas-to-write", "2", "NOREPLICAS")],
)
def test_primary_that_refuses_writes_is_reported(
    pair: RedisPair, coordination: RedisCoordination, setting: str, value: str, expected: str
) -> None:
    notifier = ChangeNotifier(parse(pair.address), key_prefix=PREFIX)
    with pair.client(0) as primary:
        primary.config_set(setting, value)
    for call in (coordination.ping, notifier.ping):
        with pytest.raises(QueueUnavailable, match=expected):
            call()
    with pair.client(0) as primary:
        primary.config_set(setting, "0")
    coordination.ping()
    notifier.close()


@pytest.fixture
def app(pair: RedisPair) -> Iterator[Celery]:
    """An application that publishes over the relay."""
    made = build_celery(Settings.model_validate({"redis_url": pair.address, "redis_key_prefix": PREFIX}))
    yield made
    made.close()


def test_task_publisher_reconnects_to_the_new_primary(pair: RedisPair, app: Celery) -> None:
    def publish() -> None:
        app.send_task(DELIVER, args=[[]], queue=FIRST, retry=False, ignore_result=True)

    publish()
    with pair.client(1) as replica:  # a write that is not replicated yet would be lost with the primary
        until(lambda: replica.llen(f"{PREFIX}{FIRST}") == 1, "the replica has the first task")
    pair.fail_over()
    with pytest.raises(OperationalError, match="READONLY"):
        publish()
    publish()
    with pair.client(0) as primary:
        assert primary.llen(f"{PREFIX}{FIRST}") == 2


def test_notification_reaches_subscribers_of_the_new_primary(pair: RedisPair) -> None:
    notifier = ChangeNotifier(parse(pair.address), key_prefix=PREFIX)
    notifier.publish(SubscriptionChanged(id="before", version=1))
    pair.fail_over()
    with SubscriberThread(parse(pair.address), key_prefix=PREFIX) as received:
        notifier.publish(SubscriptionChanged(id="after", version=2))
        assert received.get(timeout=10) == SubscriptionChanged(id="after", version=2)
    notifier.close()


def test_subscriber_leaves_a_server_that_takes_no_writes(pair: RedisPair) -> None:
    with SubscriberThread(parse(pair.address), key_prefix=PREFIX) as received:
        pair.fail_over()
        with pair.client(1) as replica:
            until(lambda: not _subscribers(replica), "nobody is subscribed to the replica")
        notifier = ChangeNotifier(parse(pair.address), key_prefix=PREFIX)

        def receives() -> bool:
            notifier.publish(SubscriptionChanged(id="after", version=2))
            try:
                return received.get(timeout=0.5) == SubscriptionChanged(id="after", version=2)
            except queue.Empty:
                return False

        until(receives, "the subscriber is connected to the primary")
        notifier.close()


def test_notification_arrives_while_memory_is_full(pair: RedisPair) -> None:
    notifier = ChangeNotifier(parse(pair.address), key_prefix=PREFIX)
    with SubscriberThread(parse(pair.address), key_prefix=PREFIX) as received, pair.client(0) as primary:
        primary.config_set("maxmemory", "1")
        notifier.publish(SubscriptionChanged(id="one", version=1))
        assert received.get(timeout=10) == SubscriptionChanged(id="one", version=1)
    notifier.close()


def _subscribers(server: Redis) -> list[str]:
    found: Any = server.client_list(_type="pubsub")
    return [client["cmd"] for client in found]
