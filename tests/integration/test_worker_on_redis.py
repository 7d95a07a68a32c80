"""A worker process on a real Redis: what operators see of a running delivery, and what lies in Redis meanwhile.

Oracles: `celery inspect`, and Redis' own keys read raw. The endpoint answers only when the test lets it.
"""

import base64
import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from tests.harness.hostile_server import OK, HostileServer, Peer
from tests.harness.lanes import LIMITS, TOPIC, WANTED, Record, tokens
from tests.harness.subscriptions import ID, subscription
from webhookd.edges.redis_board import RedisBoard
from webhookd.flow.delivery import Delivery
from webhookd.flow.position import Partition
from webhookd.flow.report import Kind, Report
from webhookd.flow.route import Route
from webhookd.flow.subscription import Batching, Destination, Subscription
from webhookd.settings import Settings
from webhookd.store import migrating, subscriptions
from webhookd.store.database import Database
from workers.application import build_celery
from workers.ingest.publisher import Outgoing, Publisher
from workers.queues import FIRST, RETRY

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
BODY = b"the-body-of-the-record"
SECRET = "the-value-of-the-header"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Endpoint:
    """Takes requests and holds each until it is told what to answer."""

    def __init__(self) -> None:
        self.requests: SimpleQueue[bytes] = SimpleQueue()
        self.answers: SimpleQueue[bytes] = SimpleQueue()

    def script(self, peer: Peer) -> None:
        while request := peer.request():
            self.requests.put(request)
            peer.send(self.answers.get(timeout=PATIENCE_S))


class Ingest:
    """Stands where an ingest process stands: publishes deliveries of one subscription and hears the reports."""

    def __init__(self, settings: Settings, subscribed: Subscription) -> None:
        self.app: Celery = build_celery(settings)
        self.redis: Redis = Redis.from_url(settings.redis_url)
        self.lost: list[Delivery] = []
        self._prefix = settings.redis_key_prefix
        self._board = RedisBoard(settings.redis_url, settings.redis_key_prefix)
        self._publisher = Publisher(self.app, self._board, unknown=self.lost.extend)
        self._publisher.start()
        self._route = Route(subscribed, {TOPIC: WANTED}, LIMITS, tokens(uuid.uuid4().hex))
        self._numbers = itertools.count()
        self._heard = "0"

    def publish(self, records: int) -> Delivery:
        """A delivery of so many records, in a lane of its own."""
        lane = self._route.open_lane(Partition(TOPIC, next(self._numbers)))
        lane.take([Record(offset, b'"%b"' % BODY) for offset in range(records)], WANTED, 0.0)
        (delivery,) = self._route.ready(1e6)
        self._publisher.publish([Outgoing(delivery, delivery.ticket("ingest"), alone=False)])
        return delivery

    def hear_of(self, delivery: Delivery, kind: Kind) -> Report:
        """The next report of this kind about the delivery."""
        while True:
            reports, self._heard = self._board.reports("ingest", self._heard, 3.0)
            assert reports, "no report came"
            for report in reports:
                if (report.delivery, report.kind) == (delivery.id, kind):
                    return report

    def raw(self) -> dict[str, bytes]:
        """Everything under our prefix in Redis, as it lies there."""
        found = {}
        for key in self.redis.scan_iter(f"{self._prefix}*", count=1000):
            name = key.decode().removeprefix(self._prefix)
            found[name] = repr(self._contents(key)).encode()
        return found

    def _contents(self, key: bytes) -> object:
        match self.redis.type(key):
            case b"list":
                return [_unwrapped(message) for message in self.redis.lrange(key, 0, -1)]
            case b"hash":
                return {name: _unwrapped(value) for name, value in self.redis.hgetall(key).items()}
            case b"stream":
                return self.redis.xrange(key)
            case b"string":
                return self.redis.get(key)
            case b"zset":
                return self.redis.zrange(key, 0, -1)
            case _:
                return self.redis.smembers(key)

    def queued(self, queue: str) -> list[dict[str, Any]]:
        """The messages that wait in a queue."""
        return [json.loads(message) for message in self.redis.lrange(f"{self._prefix}{queue}", 0, -1)]

    def close(self) -> None:
        """Close every connection, and leave nothing in Redis."""
        self._publisher.stop(PATIENCE_S)
        self.app.close()
        self._board.close()
        for key in list(self.redis.scan_iter(f"{self._prefix}*", count=1000)):
            self.redis.delete(key)
        self.redis.close()


def _unwrapped(message: bytes | str) -> object:
    """A queued message with the base64 that kombu put around its body taken off."""
    try:
        read = json.loads(message)
    except ValueError:
        return message
    wrapped = read[0] if isinstance(read, list) and read and isinstance(read[0], dict) else read
    if isinstance(wrapped, dict) and "body" in wrapped:
        return [read, base64.b64decode(wrapped["body"])]
    return read


@contextmanager
def running_worker(environment: Mapping[str, str]) -> Iterator[None]:
    """A worker process for first attempts, ended with the context."""
    line = [sys.executable, "-m", "command.main", "worker", "--queue", "first", "--threads", "4"]
    with subprocess.Popen(line, cwd=ROOT, env={**os.environ, **environment}) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def endpoint() -> Endpoint:
    """What the subscription's requests go to."""
    return Endpoint()


@pytest.fixture(scope="module")
def ingest(redis_url: str, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """The ingest process beside a running worker."""
    environment = {
        "WEBHOOKD_REDIS_URL": redis_url,
        "WEBHOOKD_REDIS_KEY_PREFIX": f"worker-test:{uuid.uuid4().hex}:",
        "WEBHOOKD_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('worker') / 'worker.db'}",
        "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
        "WEBHOOKD_LEASE_S": "60",
    }
    settings = Settings.model_validate(
        {name.removeprefix("WEBHOOKD_").lower(): value for name, value in environment.items() if "ALLOW" not in name}
    )
    with HostileServer(endpoint.script) as server:
        to = Destination(url=f"http://127.0.0.1:{server.port}/hook", headers=(("X-Api-Key", SECRET),))
        subscribed = subscription(destination=to, batching=Batching(max_batch_size=10))
        migrating.upgrade(settings.database_url)
        database = Database(settings.database_url)
        with database.transaction() as session:
            subscriptions.insert(session, subscribed)
        database.close()
        made = Ingest(settings, subscribed)
        with running_worker(environment):
            yield made
        made.close()


def test_running_delivery_shows_no_body_and_no_secret(ingest: Ingest, endpoint: Endpoint) -> None:
    delivery = ingest.publish(7)
    request = endpoint.requests.get(timeout=PATIENCE_S)
    (tasks,) = (ingest.app.control.inspect(timeout=2.0).active() or {}).values()
    endpoint.answers.put(OK)
    ingest.hear_of(delivery, Kind.FINISHED)
    assert (SECRET.encode() in request, BODY in request) == (True, True)
    ((shown,),) = (task["args"][0] for task in tasks)
    assert (shown["subscription"], [*shown["lanes"]], shown["records"]) == (ID, [delivery.lanes[0].key], 7)
    assert (SECRET in json.dumps(tasks), BODY.decode() in json.dumps(tasks)) == (False, False)


def test_redis_holds_bodies_in_payloads_only(ingest: Ingest, endpoint: Endpoint) -> None:
    delivery = ingest.publish(2)
    endpoint.requests.get(timeout=PATIENCE_S)
    kept = ingest.raw()
    endpoint.answers.put(OK)
    ingest.hear_of(delivery, Kind.FINISHED)
    payloads = {name for name in kept if name.startswith("payload:")}
    assert any(delivery.id.encode() in text for name, text in kept.items() if name.startswith("unacked"))
    assert {name for name, text in kept.items() if BODY in text} == payloads
    assert not [name for name, text in kept.items() if SECRET.encode() in text]


def test_finished_delivery_leaves_no_payload(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(OK)
    delivery = ingest.publish(2)
    ingest.hear_of(delivery, Kind.FINISHED)
    endpoint.requests.get(timeout=PATIENCE_S)
    assert f"payload:{delivery.id}.0" not in ingest.raw()


def test_retry_goes_to_the_retry_queue_only(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    report = ingest.hear_of(delivery, Kind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    retried = json.loads(message)
    assert report.wait_s > 0
    assert (retried["headers"]["task"], bool(retried["headers"]["eta"])) == ("webhookd.deliver", True)
    assert delivery.id.encode() in base64.b64decode(retried["body"])
    assert (ingest.queued(FIRST), ingest.queued(RETRY), ingest.lost) == ([], [], [])


def test_retry_shows_what_the_first_attempt_shows(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    ingest.hear_of(delivery, Kind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    headers = json.loads(message)["headers"]
    assert headers["argsrepr"] == f"({ID} {delivery.lanes[0].key} 3 records)"
    assert delivery.lanes[0].epoch not in json.dumps(headers)
