"""The site of the scenarios: the services, and webhookd's processes, which scenarios share."""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from stack.kafka import KafkaCluster
from stack.postgres import PostgresServer
from stack.redis import RedisServer
from tests.harness.pipeline import Pipeline, until

LEASE_S, DEADLINE_S, CLAIM_S, MEMBER_S, SESSION_S = 2.0, 3.0, 3.0, 3.0, 10.0
PROCESSES = ("api", "ingest", "worker")

READY = {"ingest": "ingest_started", "worker": "worker_ready"}
"""What a process logs when it is ready."""

SETTINGS = {
    "WEBHOOKD_LEASE_S": str(LEASE_S),
    "WEBHOOKD_REQUEST_DEADLINE_S": str(DEADLINE_S),
    "WEBHOOKD_CLAIM_TIMEOUT_S": str(CLAIM_S),
    "WEBHOOKD_INGEST_MEMBER_TIMEOUT_S": str(MEMBER_S),
    "WEBHOOKD_RETRY_TIME_SCALE": "0.02",
    "WEBHOOKD_KAFKA_GROUP_PROTOCOL": "classic",
}
"""All timeouts are short, so that a scenario takes seconds. Retries wait a fiftieth of their time: 0.1 to 18 s."""

LONGEST_PROBE_S = 900 * 0.02 * 1.2
"""The longest wait before a lane whose circuit is open is probed: 15 minutes, scaled, with jitter."""

POLL_INTERVAL_S = 0.1


class Site:
    """The running service and its stack. Use it on the main thread, which also restarts processes that have ended.

    `redis_url` is the address of Redis for the service, if it is not the server's own. `redis`, `kafka` and `postgres`
    are None when the services belong to the test run and must not be killed.
    """

    def __init__(
        self,
        folder: Path,
        new_database: Callable[[], str],
        *,
        bootstrap: str,
        redis: RedisServer | None = None,
        redis_url: str = "",
        kafka: KafkaCluster | None = None,
        postgres: PostgresServer | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self._redis = redis
        self._redis_url = redis_url or self.redis.address
        self._kafka = kafka
        self._postgres = postgres
        self._folder = folder
        self.new_database = new_database
        self._running = ExitStack()
        self._pipeline: Pipeline | None = None
        self._settings: Mapping[str, str] = {}
        self.down: set[str] = set()
        self.restarts: list[str] = []

    @property
    def redis(self) -> RedisServer:
        """The Redis."""
        assert self._redis is not None, "the Redis of this stack must not be killed"
        return self._redis

    @property
    def kafka(self) -> KafkaCluster:
        """The brokers."""
        assert self._kafka is not None, "the brokers of this stack must not be killed"
        return self._kafka

    @property
    def postgres(self) -> PostgresServer:
        """The database."""
        assert self._postgres is not None, "the Postgres of this stack must not be stopped"
        return self._postgres

    @property
    def pipeline(self) -> Pipeline:
        """The running service."""
        assert self._pipeline is not None, "nothing runs: call `ensure_running` first"
        return self._pipeline

    def ensure_running(self, **settings: str) -> None:
        """Run the service with these settings, on a new database; a service with the same settings keeps running."""
        if self._pipeline is None or settings != self._settings:
            self.close()
            self._settings = settings
            folder = self._folder / uuid.uuid4().hex[:8]
            folder.mkdir()
            pipeline = Pipeline(
                folder,
                kafka=self.bootstrap,
                redis=self._redis_url,
                database=self.new_database(),
                settings={**SETTINGS, **settings},
            )
            self._pipeline = self._running.enter_context(pipeline)

    def close(self) -> None:
        """Stop the service; the next scenario starts a new one."""
        self._pipeline = None
        self.down.clear()
        self._running.close()

    def supervise(self) -> None:
        """Restart processes that have ended by themselves, as systemd or Kubernetes do."""
        for name in PROCESSES:
            if name not in self.down and not self.pipeline.runs(name):
                self.restarts.append(name)
                self.pipeline.start(name)

    def wait_until(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Wait until the condition is true, and supervise meanwhile; returns whether it became true in time."""
        deadline = time.monotonic() + patience_s
        while not condition():
            self.supervise()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
        return True

    def run_for(self, seconds: float) -> None:
        """Let the load run for a while."""
        self.wait_until(lambda: False, seconds)

    def stop_process(self, name: str) -> None:
        """Stop a process in order; it stays down until `start_process`."""
        self.down.add(name)
        self.pipeline.terminate(name)

    def start_process(self, name: str) -> None:
        """Start the process again."""
        self.pipeline.start(name)
        self.down.discard(name)

    def add_process(self, name: str) -> None:
        """Start another process of a kind (`ingest-2`), and wait until it is ready."""
        ready_text = READY[name.partition("-")[0]]
        before = self.pipeline.log(name).count(ready_text)
        self.pipeline.start(name)
        until(lambda: self.pipeline.log(name).count(ready_text) > before, f"{name} says {ready_text!r}")

    def remove_process(self, name: str, *, kill: bool = False) -> None:
        """Stop it, in order or with `kill -9`, if it runs."""
        if self._pipeline is None or not self._pipeline.runs(name):
            return
        if kill:
            self._pipeline.kill(name)
        else:
            self._pipeline.terminate(name)
