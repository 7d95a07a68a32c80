"""Everything that webhookd does with Redis, over every kind of connection that a URL can describe.

Real: Redis, Sentinel, their TLS and their ACL, Celery at both ends. The ACL user has the rights that
docs/how-to/postgres-and-redis.md names. Oracle for the rights: Redis' own log of denied commands.
"""

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from command.flower_queues import QueueLengths
from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from tests.harness.redis_site import KINDS, PASSWORD, PREFIX, SENTINEL_PASSWORD, RedisSite
from tests.harness.subscriber_thread import SubscriberThread
from webhookd import clock
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_rate_limits import RedisRateLimits
from webhookd.edges.redis_settings import address_of
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.access.rate_limit import Rate
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.control.change_notification import SubscriptionChanged
from webhookd.flow.dispatch.coordination import Publication, Push, ReportFlush
from webhookd.flow.dispatch.delivery_session import SessionClaim
from webhookd.flow.dispatch.task_message import DeliveryRef, ref_to_wire
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import PublishRetry
from workers.delivery.tasks import register
from workers.embedded_worker import EmbeddedWorker
from workers.task_names import DELIVER, FIRST

WAIT_S = 20.0
REPLY = "ingest"

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def site(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSite]:  # noqa: ARG001  # skips
    """The server with its Sentinels."""
    with RedisSite(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture(params=KINDS)
def settings(site: RedisSite, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """The settings of each kind of connection; afterwards Redis has denied nothing and is empty."""
    with site.admin() as admin:
        admin.acl_log_reset()
        yield site.settings(request.param)
        denied: Any = admin.acl_log()
        assert [(entry["reason"], entry["object"]) for entry in denied] == []
        assert [key for key in admin.scan_iter(count=1000) if not key.startswith(PREFIX)] == []
        admin.flushall()


def test_rate_limits_count(settings: Settings) -> None:
    limits = RedisRateLimits(address_of(settings), PREFIX, timeout_s=WAIT_S)
    rate = Rate(name="key", requests=3, window_s=0.3)
    assert limits.take("a", rate).remaining == 2
    limits.close()


def test_coordination_store_works(settings: Settings) -> None:
    store = RedisCoordination(address_of(settings), PREFIX)
    store.ping()
    store.make_claimable([Publication(ref("d1"), b"payload")])
    assert (store.are_current([ref("d1")]), store.claim([ref("d1")])) == ([True], [b"payload"])
    reports = {REPLY: [Report(ReportKind.FINISHED, "d1", 0)]}
    store.send_reports(ReportFlush(reports=reports, payloads_to_store={"k": b"v"}, payloads_to_delete=["k"]))
    read, last = store.read_reports(REPLY, "0", 1.0)
    assert [report.kind for report in read] == [ReportKind.STARTED, ReportKind.FINISHED]
    later = RedisCoordination(address_of(settings), PREFIX)  # trims again, as the first one does a second later
    assert later.read_reports(REPLY, last, 0.01) == ([], last)
    later.close()
    store.revoke(ref("d1").claim_keys())
    worker = WorkerHeartbeat(
        id="w1", queues=(FIRST,), threads=1, busy=0, since_began_s=None, since_ended_s=None, started_at=0.0
    )
    store.write_heartbeat(worker)
    assert [found.id for found in store.live_workers()] == ["w1"]
    store.remove_heartbeat("w1")
    assert (set(store.queue_lengths().values()), store.now() > 0) == ({0}, True)
    store.close()


def test_delivery_sessions_work(settings: Settings) -> None:
    store = RedisCoordination(address_of(settings), PREFIX)
    store.make_claimable([Publication(ref("d1"), b"payload")])
    assert store.claim([ref("d1")], (), SessionClaim("w/1", 60.0, opens=True)) == [b"payload"]
    push = Push("w/1", [ref("d2")])
    assert store.make_claimable([Publication(ref("d2"), b"payload")], push)
    assert store.take_pushed("w", 1.0) == push
    assert store.claim([ref("d2")], (), SessionClaim("w/1", 60.0, opens=False)) == [b"payload"]
    assert store.close_session("w/1", 1)
    store.close()


def test_change_notification_arrives(settings: Settings) -> None:
    address = address_of(settings)
    notifier = ChangeNotifier(address, key_prefix=PREFIX)
    with SubscriberThread(address, key_prefix=PREFIX) as received:
        notifier.ping()
        notifier.publish(SubscriptionChanged(id="one", version=1))
        assert received.get(timeout=WAIT_S) == SubscriptionChanged(id="one", version=1)
    notifier.close()


class RetryingHandler:
    """A task handler that asks for one retry; `received` gets the attempts."""

    def __init__(self) -> None:
        self.received: queue.Queue[int] = queue.Queue()

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:  # noqa: ARG002
        """Publish a retry in place of the first attempt."""
        for one in refs:
            if one.attempt == 0:
                publish_retry(ref(one.id, attempt=1), 0.0)
            self.received.put(one.attempt)


@pytest.fixture
def handler() -> RetryingHandler:
    """What the worker does."""
    return RetryingHandler()


@pytest.fixture
def app(settings: Settings, handler: RetryingHandler) -> Iterator[Celery]:
    """An application with the task and with events, as workers and Flower have it."""
    made = build_celery(settings)
    made.conf.worker_send_task_events = True
    coordination = RedisCoordination(address_of(settings), PREFIX)
    register(made, lambda: handler, CoordinationClock(coordination.now, clock.monotonic))
    yield made
    coordination.close()


def _succeeded(app: Celery, events: list[str]) -> int:
    # An embedded worker has no heartbeat, and it is the next event that publishes those collected.
    app.control.heartbeat()
    return events.count("task-succeeded")


# Every other test of tasks uses TCP; test_change_notification_arrives has kombu over a Sentinel with TLS.
@pytest.mark.parametrize("settings", ["socket", "acl", "tls", "sentinel"], indirect=True)
def test_tasks_events_and_remote_control_work(settings: Settings, app: Celery, handler: RetryingHandler) -> None:
    worker = EmbeddedWorker(app, threads=1)
    worker.start()
    with EventsThread(app) as events:
        publish(app)
        assert [handler.received.get(timeout=WAIT_S) for _ in range(2)] == [0, 1]
        until(lambda: _succeeded(app, events) == 2, "the events of both tasks have arrived")
    (shown,) = (app.control.inspect(timeout=WAIT_S, limit=1).stats() or {}).values()
    assert str(address_of(settings)) in json.dumps(shown["broker"])
    assert [secret for secret in (PASSWORD, SENTINEL_PASSWORD) if secret in json.dumps(shown)] == []
    publish(app, countdown=600)
    until(lambda: bool(app.control.inspect(timeout=WAIT_S, limit=1).scheduled()), "the worker holds the delayed task")
    worker.stop(WAIT_S)  # puts the delayed task back into its queue
    store = RedisCoordination(address_of(settings), PREFIX)
    assert asyncio.run(QueueLengths(store).queues([FIRST, "gone"])) == [{"name": FIRST, "messages": 1}]
    store.close()


REFUSED = "the certificate is refused"

REFUSALS: dict[str, tuple[str, dict[str, str], str]] = {
    "another authority": ("tls", {"redis_ca_file": "foreign"}, REFUSED),
    "system's authorities": ("tls", {"redis_ca_file": ""}, REFUSED),
    "another host name": ("tls", {"127.0.0.1": "localhost"}, REFUSED),
    "no client certificate": ("tls", {"redis_client_cert_file": ""}, "TLS failed"),
    "wrong password": ("acl", {"webhookd:": "webhookd:wrong-"}, "the login is refused: WRONGPASS"),
    "missing right": ("acl", {"webhookd:": "reader:"}, "a right is missing: NOPERM"),
    "missing database": ("tcp", {"/0": "/99"}, "DB index is out of range"),
    "wrong password of the Sentinel": (
        "sentinel",
        {"sentinel_password=the": "sentinel_password=an"},
        "the login is refused: WRONGPASS",
    ),
    "another name of the primary": ("sentinel", {"master=main": "master=other"}, "the name is unknown"),
    "authority of the Sentinel": ("sentinel-tls", {"redis_ca_file": "foreign"}, REFUSED),
}
"""By what is wrong: the kind of connection, the changed setting or part of the URL, and what the detail says."""


@pytest.mark.parametrize("wrong", REFUSALS)
def test_both_libraries_say_why_redis_cannot_be_used(site: RedisSite, wrong: str) -> None:
    kind, changes, expected = REFUSALS[wrong]
    address = address_of(changed(site, kind, changes))
    store, notifier = RedisCoordination(address, PREFIX), ChangeNotifier(address, key_prefix=PREFIX)
    for ping in (store.ping, notifier.ping):
        with pytest.raises(QueueUnavailable) as raised:
            ping()
        assert (expected in raised.value.detail, PASSWORD in raised.value.detail) == (True, False)
    store.close()
    notifier.close()


def changed(site: RedisSite, kind: str, changes: dict[str, str]) -> Settings:
    """The settings of a kind of connection with these changes: other files, or replaced parts of the URL."""
    url, files = site.url(kind), {}
    for name, value in changes.items():
        if name.endswith("_file"):
            files[name] = getattr(site.certificates, value) if value else None
        else:
            url = url.replace(name, value)
    return site.settings(kind, redis_url=url, **files)


@pytest.mark.parametrize("kind", KINDS)
def test_both_libraries_say_that_the_server_is_a_replica(site: RedisSite, kind: str) -> None:
    address = address_of(site.settings(kind))
    store, notifier = RedisCoordination(address, PREFIX), ChangeNotifier(address, key_prefix=PREFIX)
    store.ping()
    with site.replica():
        for ping in (store.ping, notifier.ping):
            with pytest.raises(QueueUnavailable, match="READONLY"):
                ping()
    store.ping()
    store.close()
    notifier.close()


def test_login_that_is_missing_is_said(site: RedisSite) -> None:
    notifier = ChangeNotifier(parse(site.url("tcp")), key_prefix=PREFIX)
    with site.admin() as admin:
        admin.config_set("requirepass", "password")
        try:
            with pytest.raises(QueueUnavailable, match="the login is refused: NOAUTH"):
                notifier.ping()
        finally:
            admin.config_set("requirepass", "")
    notifier.close()


def test_missing_channel_is_not_ready_although_keys_can_be_written(site: RedisSite) -> None:
    address = address_of(changed(site, "acl", {"webhookd:": "writer:"}))
    store, notifier = RedisCoordination(address, PREFIX), ChangeNotifier(address, key_prefix=PREFIX)
    store.ping()
    with pytest.raises(QueueUnavailable, match=r"a right is missing: NOPERM.*channels"):
        notifier.ping()
    store.close()
    notifier.close()


def test_user_may_select_another_database(site: RedisSite) -> None:
    store = RedisCoordination(address_of(changed(site, "acl", {"/0": "/1"})), PREFIX)
    store.ping()
    store.close()


def test_certificate_is_not_verified_where_the_url_says_so(site: RedisSite) -> None:
    url = f"{site.url('tls')}?ssl_cert_reqs=none"
    address = address_of(site.settings("tls", redis_url=url, redis_ca_file=site.certificates.foreign))
    store, notifier = RedisCoordination(address, PREFIX), ChangeNotifier(address, key_prefix=PREFIX)
    store.ping()
    notifier.ping()
    store.close()
    notifier.close()


def publish(app: Celery, countdown: float | None = None) -> None:
    app.send_task(DELIVER, args=[[ref_to_wire(ref("d1"))]], queue=FIRST, retry=False, countdown=countdown)


class EventsThread:
    """A context that receives events as Flower does; its value is the list of their types."""

    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_read()
        self._types: list[str] = []
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._add})
        self._ready = threading.Event()
        self._receiver.on_consume_ready = lambda *_, **__: self._ready.set()
        self._thread = threading.Thread(target=self._run)

    def _add(self, event: dict[str, Any]) -> None:
        self._types.append(event["type"])

    def _run(self) -> None:
        for _ in self._receiver.consume(limit=None, timeout=1.0, safety_interval=0):
            pass

    def __enter__(self) -> list[str]:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self._types

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(WAIT_S)
        self._connection.release()
