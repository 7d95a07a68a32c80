"""The rig of the short form of `bench`: it uses running services if there are any, and one pipeline for all cases."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from redis import Redis

from stack import postgres
from stack.service_group import Service, ServiceGroup
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.benchmarks.rig.rig import Rig

SERVICES: Mapping[str, Callable[[ServiceGroup], Service]] = {
    "kafka": lambda services: services.start_kafka(),
    "redis": lambda services: services.start_redis(),
    "postgres": lambda services: services.start_postgres(),
}
"""How to start each service whose variable WEBHOOKD_TEST_… is not set."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service that another process has started."""

    address: str


class ShortRig(Rig):
    """In services that are not its own it leaves only topics, whose names begin with its prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}-"
        self._pipeline: Pipeline | None = None
        self._pipeline_exit = ExitStack()

    def _start_services(self, services: ServiceGroup, undo: ExitStack) -> str:
        running = {name: os.environ.get(f"WEBHOOKD_TEST_{name.upper()}", "") for name in SERVICES}
        found = {name: Running(at) if at else SERVICES[name](services) for name, at in running.items()}
        self.nginx = services.start_nginx()
        services.wait_ready()
        self.kafka, self.redis = found["kafka"], found["redis"]
        address = found["postgres"].address
        database = self.prefix.replace("-", "_") + "cases"
        url = postgres.create_database(address, database)
        undo.callback(postgres.drop_database, address, database)
        undo.callback(self._forget_keys)
        undo.push(self._pipeline_exit)
        return url

    @contextmanager
    def pipeline(self, workers: int = 1, threads: int | None = None, *, ingests: int = 1) -> Iterator[Pipeline]:
        """The one pipeline, with at least this many workers and one ingest process."""
        del ingests
        if self._pipeline is None:
            self.environment = {**self.environment, "WEBHOOKD_REDIS_KEY_PREFIX": self.prefix}
            self._pipeline = self._pipeline_exit.enter_context(Pipeline(self.environment, workers, threads))
        self._pipeline.ensure_workers(workers)
        yield self._pipeline

    def _forget_keys(self) -> None:
        with Redis.from_url(self.redis.address) as redis:
            for key in list(redis.scan_iter(f"{self.prefix}*", count=1000)):
                redis.delete(key)
