"""A stack of a scenario's own: Kafka, Redis, Postgres, and webhookd's real processes."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Self

import requests

from stack.child import Child
from stack.free_ports import free_ports
from stack.kafka import KafkaOptions
from stack.kafka_changes import KafkaChanges
from stack.kafka_jars import VERSION as KAFKA_VERSION
from stack.service_group import ServiceGroup
from stack.waiting import until_ready
from webhookd_load_test import service_commands
from webhookd_load_test.cluster.cluster_actions import ClusterActions
from webhookd_load_test.cluster.service_processes import ServiceProcesses
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.samples import ProcessSample
from webhookd_load_test.scenario.process_sample import sampled
from webhookd_load_test.scenario.scenario_file import Stack
from webhookd_load_test.scenario.target import MOST_REPLICAS
from webhookd_load_test.service_commands import STOP_TIMEOUT_S

START_TIMEOUT_S = 120.0
ASK_TIMEOUT_S = 10.0


class OwnStack:
    """A context: the services run from its begin to its end, webhookd from `start_webhookd` on.

    Use it on the main thread. Raises NotStarted when a program is missing or something does not start.
    """

    def __init__(self, stack: Stack, folder: RunFolder) -> None:
        self._stack = stack
        self._logs = folder.logs.resolve()
        self._exits = ExitStack()
        self._services: dict[str, list[int]] = {}
        self._ingest: ServiceProcesses | None = None
        self._workers: ServiceProcesses | None = None
        self.api_url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.api_key = ""
        self.own = True
        self._session = requests.Session()
        self._session.trust_env = False  # what runs here is not asked through a proxy
        self.replication_factor = min(stack.brokers, MOST_REPLICAS)

    def __enter__(self) -> Self:
        """Start Kafka, Redis and Postgres."""
        with ExitStack() as undo:
            services = undo.enter_context(ServiceGroup())
            self._kafka = services.start_kafka(KafkaOptions(brokers=self._stack.brokers))
            redis = services.start_redis()
            postgres = services.start_postgres()
            services.wait_ready()
            self._services = {"redis": [redis.child.pid], "postgres": [postgres.child.pid]}
            self._environment = self._variables(redis.address, postgres.create_database("load_test"))
            self._exits = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything: ingest first, so that workers deliver what it waits for."""
        self._exits.close()

    @property
    def kafka(self) -> Mapping[str, str]:
        """The properties of Kafka clients."""
        return {"bootstrap.servers": self._kafka.address}

    def start_webhookd(self) -> None:
        """Migrate the database, and start the API, ingest and workers; blocks until the API reports that all work."""
        self._command("migrate").must_succeed("webhookd migrate")
        api = self._command("api")
        self._exits.callback(api.stop, STOP_TIMEOUT_S)
        self._services["api"] = [api.pid]
        self._workers = self._started("worker", self._stack.workers)
        self._ingest = self._started("ingest", self._stack.ingest)
        until_ready("webhookd", self._works, [api], START_TIMEOUT_S)

    def versions(self) -> dict[str, str]:
        """The version of the brokers."""
        return {"Kafka": KAFKA_VERSION}

    def processes(self) -> dict[str, ProcessSample]:
        """The usage of every process of the stack, by the name of its log.

        Raises NotChanged when one of ingest or worker has ended by itself.
        """
        started = [processes for processes in (self._ingest, self._workers) if processes is not None]
        for processes in started:
            processes.check_running()
        ours = {name: [pid] for processes in started for name, pid in processes.pids.items()}
        return sampled({**ours, **self._services, "kafka": self._kafka.pids})

    def actions(self, topics: Sequence[str], stopping: threading.Event) -> ClusterActions:
        """What performs the steps of a timeline."""
        changes = KafkaChanges(self._kafka, stopping=stopping)
        return ClusterActions(changes, topics=topics, ingest=self._ingest, workers=self._workers)

    def _command(self, name: str) -> Child:
        return service_commands.start([name], log_file=self._logs / f"{name}.log", environment=self._environment)

    def _started(self, name: Literal["ingest", "worker"], count: int) -> ServiceProcesses:
        processes = ServiceProcesses(name, environment=self._environment, logs=self._logs)
        self._exits.enter_context(processes)
        processes.scale(count)
        return processes

    def _works(self) -> bool:
        try:
            health = self._session.get(f"{self.api_url}/health", timeout=ASK_TIMEOUT_S).json()
        except requests.RequestException:
            return False
        return health.get("status") != "degraded" and bool(health.get("workers"))

    def _variables(self, redis_url: str, database_url: str) -> dict[str, str]:
        """The environment of webhookd's processes; the scenario's settings win."""
        variables = service_commands.environment(
            kafka=self._kafka.address,
            redis_url=redis_url,
            database_url=database_url,
            api_bind=self.api_url.removeprefix("http://"),
        )
        return {**variables, "WEBHOOKD_METRICS_BIND": "127.0.0.1:0", **self._stack.settings}
