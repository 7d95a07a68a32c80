"""A worker process on a real Redis, an endpoint that responds when the test says so, and a stand-in for ingest."""

import base64
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from celery import Celery
from redis import Redis

from tests.harness.command_process import CommandProcess
from tests.harness.databases import create_tables
from tests.harness.hostile_server import HostileServer, Peer
from tests.harness.lanes import LIMITS, TOPIC, WANTED, Record, tokens
from tests.harness.pipeline import until
from tests.harness.secret_keys import KEY, SECRET_KEYS
from tests.harness.subscriptions import subscription
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_settings import address_of
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.destination import Destination
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.queue_names import FIRST
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.offsets.position import Partition
from webhookd.flow.subscription import Batching, Subscription
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.celery_app import build_celery
from workers.ingest.dispatch.task_publisher import Outgoing, TaskPublisher

PATIENCE_S = 90.0
BODY = b"the-body-of-the-record"
SECRET = "the-value-of-the-header"


class Endpoint:
    """Receives requests, and keeps each open until the test puts a response into `answers`."""

    def __init__(self) -> None:
        self.requests: SimpleQueue[bytes] = SimpleQueue()
        self.answers: SimpleQueue[bytes] = SimpleQueue()

    def script(self, peer: Peer) -> None:
        while request := peer.request():
            self.requests.put(request)
            peer.send(self.answers.get(timeout=PATIENCE_S))


class IngestStandIn:
    """Publishes deliveries of one subscription, and reads the reports, as an ingest process does."""

    def __init__(self, settings: Settings, subscribed: Subscription) -> None:
        self.app: Celery = build_celery(settings)
        self.redis: Redis = Redis.from_url(settings.redis_url)
        self.lost: list[Delivery] = []
        self._prefix = settings.redis_key_prefix
        self._coordination = RedisCoordination(address_of(settings), settings.redis_key_prefix)
        self.refused: list[Delivery] = []
        self._publisher = TaskPublisher(
            self.app,
            self._coordination,
            on_unknown=self.lost.extend,
            on_refused=lambda _session, deliveries: self.refused.extend(deliveries),
        )
        self._publisher.start()
        self._accumulator = BatchAccumulator(subscribed, {TOPIC: WANTED}, LIMITS, tokens(uuid.uuid4().hex))
        self._numbers = itertools.count()
        self._read_up_to = "0"

    def publish(self, records: int, session: str = "") -> Delivery:
        """Publish a delivery of so many records, in a lane of its own; or push it to the session if that is open."""
        lane = self._accumulator.open_lane(Partition(TOPIC, next(self._numbers)))
        lane.take([Record(offset, b'"%b"' % BODY) for offset in range(records)], WANTED, 0.0)
        (delivery,) = self._accumulator.ready(1e6)
        delivery.queue = FIRST
        self._publisher.publish(
            [Outgoing(delivery, delivery.ref("ingest"), alone=False, pushed=bool(session))], session
        )
        return delivery

    def publish_again(self, delivery: Delivery) -> None:
        """Publish a delivery in a task, under the same id."""
        self._publisher.publish([Outgoing(delivery, delivery.ref("ingest"), alone=False)])

    def wait_for_session(self, delivery: Delivery) -> str:
        """The session that a worker has opened with the claim of this delivery."""
        session = self.wait_for_report(delivery, ReportKind.STARTED).session
        assert session, "the task does not stay open"
        return session

    def reaches_primary(self) -> bool:
        """Whether Redis takes writes; drops the connections to a server that does not."""
        try:
            self._coordination.ping()
        except QueueUnavailable:
            return False
        return True

    def wait_published(self) -> None:
        """Wait until everything is published, or counted in `lost`."""
        until(lambda: not self._publisher.waiting, "the publisher has published everything")

    def wait_for_report(self, delivery: Delivery, kind: ReportKind) -> Report:
        """The next report of this kind about the delivery."""
        while True:
            reports, self._read_up_to = self._coordination.read_reports("ingest", self._read_up_to, 3.0)
            assert reports, "no report came"
            for report in reports:
                if (report.delivery, report.kind) == (delivery.id, kind):
                    return report

    def finished(self) -> set[str]:
        """The deliveries reported as finished since the last read; waits for a report."""
        reports, self._read_up_to = self._coordination.read_reports("ingest", self._read_up_to, 3.0)
        assert reports, "no report came"
        return {report.delivery for report in reports if report.kind is ReportKind.FINISHED}

    def workers(self) -> list[WorkerHeartbeat]:
        """The workers that have a heartbeat."""
        return self._coordination.live_workers()

    def raw(self) -> dict[str, bytes]:
        """All raw values under the test's prefix in Redis."""
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
        """The messages in a queue."""
        return [json.loads(message) for message in self.redis.lrange(f"{self._prefix}{queue}", 0, -1)]

    def close(self) -> None:
        """Close every connection, and delete the test's keys from Redis."""
        self._publisher.stop(PATIENCE_S)
        self.app.close()
        self._coordination.close()
        for key in list(self.redis.scan_iter(f"{self._prefix}*", count=1000)):
            self.redis.delete(key)
        self.redis.close()


def _unwrapped(message: bytes | str) -> object:
    """A queued message with its body decoded from kombu's base64."""
    try:
        read = json.loads(message)
    except ValueError:
        return message
    wrapped = read[0] if isinstance(read, list) and read and isinstance(read[0], dict) else read
    if isinstance(wrapped, dict) and "body" in wrapped:
        return [read, base64.b64decode(wrapped["body"])]
    return read


class WorkerScene:
    """An endpoint, a stand-in for ingest, and the settings of a worker process between them."""

    def __init__(self, environment: Mapping[str, str], endpoint: Endpoint, ingest: IngestStandIn) -> None:
        self.endpoint = endpoint
        self.ingest = ingest
        self.prefix = environment["WEBHOOKD_REDIS_KEY_PREFIX"]
        self._environment = environment

    def worker(self, *arguments: str, **settings: str) -> CommandProcess:
        """A worker process for first attempts; not started before its context is entered."""
        line = ("worker", "--queue", "first", "--threads", "4", *arguments)
        return CommandProcess(*line, environment={**self._environment, **settings})

    def flower(self, *arguments: str) -> CommandProcess:
        """A Flower process; not started before its context is entered."""
        return CommandProcess("flower", *arguments, environment={**self._environment, "WEBHOOKD_LOG_LEVEL": "warning"})


@contextmanager
def worker_scene(redis_url: str, folder: Path, **more: str) -> Iterator[WorkerScene]:
    """A scene with a key prefix and a database of its own, and these settings (environment variables)."""
    environment = {
        "WEBHOOKD_REDIS_URL": redis_url,
        "WEBHOOKD_REDIS_KEY_PREFIX": f"worker-test:{uuid.uuid4().hex}:",
        "WEBHOOKD_DATABASE_URL": f"sqlite:///{folder / 'worker.db'}",
        "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
        "WEBHOOKD_SECRET_KEYS": KEY,
        **more,
    }
    settings = Settings.model_validate(
        {name.removeprefix("WEBHOOKD_").lower(): value for name, value in environment.items() if "ALLOW" not in name}
    )
    endpoint = Endpoint()
    with HostileServer(endpoint.script) as server:
        to = Destination(url=f"http://127.0.0.1:{server.port}/hook", headers=(("X-Api-Key", SECRET),))
        subscribed = subscription(destination=to, batching=Batching(max_batch_size=10))
        create_tables(settings.database_url)
        database = Database(settings.database_url, secret_keys=SECRET_KEYS)
        with database.transaction() as session:
            subscriptions.insert(session, subscribed)
        database.close()
        ingest = IngestStandIn(settings, subscribed)
        try:
            yield WorkerScene(environment, endpoint, ingest)
        finally:
            ingest.close()
