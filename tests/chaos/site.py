"""Where scenarios happen: the services, and the processes of webhookd on them, which survive from one to the next."""

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

READY = {"ingest": "ingest_started", "worker": "[queues]"}
"""What a process logs when it is at work."""

SETTINGS = {
    "WEBHOOKD_LEASE_S": str(LEASE_S),
    "WEBHOOKD_REQUEST_DEADLINE_S": str(DEADLINE_S),
    "WEBHOOKD_CLAIM_TIMEOUT_S": str(CLAIM_S),
    "WEBHOOKD_INGEST_MEMBER_TIMEOUT_S": str(MEMBER_S),
    "WEBHOOKD_RETRY_TIME_SCALE": "0.02",
    "WEBHOOKD_KAFKA_GROUP_PROTOCOL": "classic",
}
"""Every time-out short, so that a scenario takes seconds. The retries' waits are a fiftieth: 0.1 to 18 s."""

LONGEST_PROBE_S = 900 * 0.02 * 1.2
"""A held lane is probed after so long at the latest: 15 minutes, scaled, with its jitter."""

POLL_INTERVAL_S = 0.1


class Site:
    """Owned by the test session's main thread: what dies is started again from there.

    `redis_url` is where the service finds Redis, unless at the server itself. `kafka` and `postgres` are None where the
    services are not the site's own, and so not to be killed.
    """

    def __init__(
        self,
        folder: Path,
        new_database: Callable[[], str],
        *,
        bootstrap: str,
        redis: RedisServer,
        redis_url: str = "",
        kafka: KafkaCluster | None = None,
        postgres: PostgresServer | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self.redis = redis
        self._redis_url = redis_url or redis.address
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
    def kafka(self) -> KafkaCluster:
        """The brokers."""
        assert self._kafka is not None, "this stack's brokers are not ours to kill"
        return self._kafka

    @property
    def postgres(self) -> PostgresServer:
        """The database."""
        assert self._postgres is not None, "this stack's Postgres is not ours to stop"
        return self._postgres

    @property
    def pipeline(self) -> Pipeline:
        """The service as it runs."""
        assert self._pipeline is not None, "nothing runs: call `serve` first"
        return self._pipeline

    def ensure_running(self, **settings: str) -> None:
        """Have the service run with these settings, on a database of its own; one that does already goes on."""
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
        """Stop the service; the next scenario gets a new one."""
        self._pipeline = None
        self.down.clear()
        self._running.close()

    def supervise(self) -> None:
        """What systemd or Kubernetes do: start again what ended by itself."""
        for name in PROCESSES:
            if name not in self.down and not self.pipeline.runs(name):
                self.restarts.append(name)
                self.pipeline.start(name)

    def wait_until(self, status: Callable[[], bool], patience_s: float) -> bool:
        """Wait until it holds, supervising meanwhile; answers whether it did in time."""
        deadline = time.monotonic() + patience_s
        while not status():
            self.supervise()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
        return True

    def run_for(self, seconds: float) -> None:
        """Let the load flow for a while."""
        self.wait_until(lambda: False, seconds)

    def stop_process(self, name: str) -> None:
        """Stop one of the processes in order; it stays down until `enter`."""
        self.down.add(name)
        self.pipeline.terminate(name)

    def start_process(self, name: str) -> None:
        """Start it again."""
        self.pipeline.start(name)
        self.down.discard(name)

    def add_process(self, name: str) -> None:
        """Start a second process of a kind (`ingest-2`), and wait until it says that it is ready."""
        said = READY[name.partition("-")[0]]
        before = self.pipeline.log(name).count(said)
        self.pipeline.start(name)
        until(lambda: self.pipeline.log(name).count(said) > before, f"{name} says {said!r}")

    def remove_process(self, name: str, *, kill: bool = False) -> None:
        """Let it go again, in order or with `kill -9`; one that does not run is left alone."""
        if self._pipeline is None or not self._pipeline.runs(name):
            return
        if kill:
            self._pipeline.kill(name)
        else:
            self._pipeline.terminate(name)
