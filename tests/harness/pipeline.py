"""The whole service as real processes on real parts: api, ingest and workers started as a user would."""

import json
import os
import signal
import sys
import time
import urllib.error
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewPartitions, NewTopic
from sqlalchemy import create_engine, text

from stack.child import Child, spawn
from stack.free_ports import free_ports
from tests.harness.api_request import ask, ask_until_available
from tests.harness.kafka_admin import admin_of
from tests.harness.secret_keys import KEY
from tests.harness.slow_iterations import stuck_iterations
from webhookd.flow.offsets.commit_metadata import decode
from webhookd.store.migrating import upgrade

PATIENCE_S = 60.0
POLL_S = 0.05
KAFKA_ASK_TIMEOUT_S = "15"
"""For a busy machine. A registration asks up to three times in a row, and has its response within PATIENCE_S."""


def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until the function returns true; raises AssertionError when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience_s} s: {what}")
        time.sleep(POLL_S)


class Pipeline:
    """A context in which the service runs; everything is stopped at its end."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: str,
        redis: str,
        database: str,
        settings: dict[str, str],
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._wrapper = wrapper
        self.bootstrap = kafka
        self._processes: dict[str, Child] = {}
        self._reported_stuck: set[str] = set()
        self.redis = redis
        self.redis_prefix = f"test-{uuid.uuid4().hex}:"
        self._port = free_ports(1)[0]
        self._environment = {
            **os.environ,
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "WEBHOOKD_KAFKA_ASK_TIMEOUT_S": KAFKA_ASK_TIMEOUT_S,
            "WEBHOOKD_REDIS_URL": redis,
            "WEBHOOKD_REDIS_KEY_PREFIX": self.redis_prefix,
            "WEBHOOKD_DATABASE_URL": database,
            "WEBHOOKD_API_BIND": f"127.0.0.1:{self._port}",
            "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
            "WEBHOOKD_METRICS_BIND": "127.0.0.1:0",
            "WEBHOOKD_API_AUTH": "none",
            "WEBHOOKD_SECRET_KEYS": KEY,
            **settings,
        }
        self.database = database
        self.admin = admin_of(kafka)
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5})

    def __enter__(self) -> Self:
        """Migrate, then start the API, one ingest process and one worker for both queues."""
        upgrade(self.database)
        for name in ("api", "ingest", "worker"):
            self.start(name)
        try:
            self.wait_ready()
        except BaseException as error:  # else they would go on beside the next test
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop all processes, with SIGKILL if SIGTERM does not help; AssertionError when an ingest loop was stuck."""
        for process in self._processes.values():
            process.send(signal.SIGTERM)
            process.thaw()
        for process in self._processes.values():
            process.stop(PATIENCE_S / 2)
        stuck = self.take_stuck_iterations()
        self._processes.clear()
        assert not stuck or kind is not None, "\n".join(stuck)

    def wait_ready(self) -> None:
        """Wait until the API is ready."""
        until(lambda: self._answers("/ready"), "the API is ready")

    def start(self, name: str, **settings: str) -> None:
        """Start a process again, or another one: `ingest` and `ingest-2` run the same command.

        `settings` (environment variables) are for this process alone.
        """
        command = [*self._wrapper, sys.executable, "-m", "command.main", name.partition("-")[0]]
        environment = {**self._environment, **settings}
        self._processes[name] = spawn(command, log_file=self._folder / f"{name}.log", environment=environment)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self._processes[name].kill()

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._processes[name].freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._processes[name].thaw()

    def runs(self, name: str) -> bool:
        """Whether such a process was started and has not ended."""
        return name in self._processes and self._processes[name].exit_code is None

    def terminate(self, name: str) -> int:
        """SIGTERM; returns the exit code."""
        self.send_term(name)
        return self.exit_code(name)

    def send_term(self, name: str) -> None:
        """SIGTERM, without waiting for the end."""
        self._processes[name].send(signal.SIGTERM)

    def switch_debug(self, name: str) -> None:
        """SIGUSR2, to the process that was started, as operators send it; gunicorn's has worker processes."""
        self._processes[name].send_alone(signal.SIGUSR2)

    def exit_code(self, name: str) -> int:
        """Wait for the end of a process; returns its exit code."""
        until(lambda: self._processes[name].exit_code is not None, f"{name} has ended")
        return self._processes[name].exit_code or 0

    def log(self, name: str) -> str:
        """What a process has logged."""
        file = self._folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The complete lines that a process has logged so far, parsed; it must log JSON."""
        return [json.loads(line) for line in self.log(name).splitlines(keepends=True) if line.endswith("\n")]

    def take_stuck_iterations(self) -> list[str]:
        """The iterations in which an ingest loop was stuck for a second, since the last call."""
        logged = [f"{name}: {line}" for name in self._processes for line in stuck_iterations(self.log(name))]
        fresh = [line for line in logged if line not in self._reported_stuck]
        self._reported_stuck.update(fresh)
        return fresh

    def wait_logged(self, name: str, event: str, id_: str, version: int) -> None:
        """Wait until a process has logged this event of this version of a subscription."""
        wanted = [f'"event":"{event}"', f'"subscription":"{id_}"', f'"version":{version},']

        def logged() -> bool:
            return any(all(part in line for part in wanted) for line in self.log(name).splitlines())

        until(logged, f"{event} of version {version}")

    def topic(self, partitions: int = 4, name: str = "") -> str:
        """Create a topic for this test; returns its name."""
        name = name or f"orders-{uuid.uuid4().hex[:12]}"
        self.admin.create_topics([NewTopic(name, partitions)])[name].result(PATIENCE_S)
        return name

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(PATIENCE_S)
        self._producer = Producer({"bootstrap.servers": self.bootstrap})  # the old one knows the old number

    def clean_up(self, topic: str, policy: str) -> None:
        """Give a topic another `cleanup.policy`."""
        entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(PATIENCE_S)

    def produce(
        self, topic: str, values: Iterable[bytes | None], partitions: int = 4, *, with_keys: bool = True
    ) -> None:
        """Write values round robin over the partitions, and wait until Kafka has them."""
        for index, value in enumerate(values):
            key = f"key-{index}".encode() if with_keys else None
            self._producer.produce(topic, value, key=key, partition=index % partitions)
            self._producer.poll(0)
        assert self._producer.flush(PATIENCE_S) == 0

    def subscribe(self, url: str, topic: str, *, start: str = "latest", **changes: Any) -> str:  # noqa: ANN401 - JSON
        """Register a subscription over the API, which may need several attempts on a busy machine; returns its id."""
        body = subscription_body(url, topic, start, **changes)
        answer = ask_until_available(self._url("/1/Subscription"), "POST", body, timeout_s=PATIENCE_S)
        return str(answer["id"])

    def status(self, id_: str) -> dict[str, Any]:
        """The subscription's status."""
        return self.ask("GET", f"/1/Subscription/{id_}/Status")

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request to the API; raises urllib.error.HTTPError for an error response, with its body in the message."""
        return ask(self._url(path), method, body, timeout_s=PATIENCE_S)

    def dead_letters(self, id_: str) -> list[dict[str, Any]]:
        """The rows of a subscription's dead letters, in the order of their partitions."""
        engine = create_engine(self.database)
        query = 'SELECT * FROM dead_letters WHERE subscription_id = :id ORDER BY partition, "offset"'
        with engine.begin() as connection:
            rows = [dict(row) for row in connection.execute(text(query), {"id": id_}).mappings()]
        engine.dispose()
        return rows

    def committed(self, id_: str, topic: str) -> dict[int, int]:
        """The committed offsets of a subscription's group, by partition."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"webhooks-{id_}"})
        try:
            found = consumer.committed(self._partitions(topic), timeout=10)
            return {place.partition: place.offset for place in found}
        finally:
            consumer.close()

    def failures_committed(self, id_: str, topic: str) -> int:
        """The number of failed attempts in the commit metadata of partition 0."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"webhooks-{id_}"})
        try:
            (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
            return decode(found.metadata).failed_attempts
        finally:
            consumer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The end offsets of a topic, by partition."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "ends"})
        try:
            places = self._partitions(topic)
            return {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
        finally:
            consumer.close()

    def wait_committed(self, id_: str, topic: str) -> None:
        """Wait until the group's committed offsets are the topic's end offsets."""
        ends = self.ends(topic)
        until(lambda: self.committed(id_, topic) == ends, f"committed is {ends}")

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self.admin.list_topics(topic, timeout=10).topics[topic]
        return [TopicPartition(topic, number) for number in found.partitions]

    def _answers(self, path: str) -> bool:
        if self._processes["api"].exit_code is not None:
            raise AssertionError(self.log("api"))
        try:
            self.ask("GET", path)
        except (urllib.error.URLError, OSError):
            return False
        return True


def subscription_body(url: str, topic: str, start: str = "latest", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """A subscription as JSON.

    `changes`: filters, filtering, size, interval, batching, retries, algorithm, retry, delivery, headers, webhook,
    active.
    """
    return {
        "name": changes.get("name", "test"),
        "active": changes.get("active", "yes"),
        "destination": {
            "kind": "webhook",
            "webhook": {"url": url, "headers": changes.get("headers", []), **changes.get("webhook", {})},
        },
        "source": [{"topic": topic, "start": start, "jmes_filters": changes.get("filters", [])}],
        "configuration": {
            "batching": {
                "max_batch_size": changes.get("size", 1),
                "max_batch_interval_seconds": changes.get("interval", 1),
                **changes.get("batching", {}),
            },
            "retry": {
                "max_retries": changes.get("retries", 5),
                "retry_algorithm": changes.get("algorithm", "exponential_backoff"),
                **changes.get("retry", {}),
            },
            "filtering": changes.get("filtering", {}),
            "delivery": changes.get("delivery", {}),
        },
    }
