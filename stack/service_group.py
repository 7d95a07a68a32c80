"""A group of services that are started and stopped together."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from stack import kafka, nginx, pgbouncer, postgres, redis
from stack.free_ports import free_ports
from stack.scratch import scratch_directory


class Service(Protocol):
    """A started service."""

    @property
    def address(self) -> str:
        """The address that clients connect to."""

    def wait_ready(self) -> None:
        """Block until it answers a real request. Raises NotStarted when it ends or does not answer in time."""

    def stop(self) -> None:
        """Stop it and wait for its end."""


Started = TypeVar("Started", bound=Service)


class ServiceGroup:
    """A context in which services can be started; on exit all of them are stopped and their data is removed.

    The `start_` methods do not wait, so that several services start at the same time; `wait_ready` waits. They raise
    NotStarted when a program is missing. Ports are free ones unless given. `directory` holds the data. Use it on the
    main thread.
    """

    def __init__(self) -> None:
        self._exits = contextlib.ExitStack()
        self._started: list[Service] = []
        self.directory: Path

    def __enter__(self) -> Self:
        self.directory = self._exits.enter_context(scratch_directory())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def start_kafka(self, options: kafka.KafkaOptions | None = None, ports: Sequence[int] = ()) -> kafka.KafkaCluster:
        """Start a Kafka cluster; it needs two ports per broker."""
        chosen = options or kafka.KafkaOptions()
        return self._add(kafka.start(self._place("kafka"), ports or free_ports(2 * chosen.brokers), chosen))

    def start_redis(self, port: int = 0) -> redis.RedisServer:
        """Start a Redis."""
        return self._add(redis.start(self._place("redis"), port or free_ports(1)[0]))

    def start_postgres(self, port: int = 0) -> postgres.PostgresServer:
        """Start a Postgres."""
        return self._add(postgres.start(self._place("postgres"), port or free_ports(1)[0]))

    def start_pgbouncer(self, postgres_url: str) -> pgbouncer.PgBouncer:
        """Start a PgBouncer in front of a Postgres."""
        return self._add(pgbouncer.start(self._place("pgbouncer"), free_ports(1)[0], postgres_url))

    def start_nginx(self) -> nginx.NginxServer:
        """Start an nginx that responds 200 to every request."""
        return self._add(nginx.start(self._place("nginx"), *free_ports(2)))

    def wait_ready(self) -> None:
        """Block until all started services answer."""
        for service in self._started:
            service.wait_ready()

    def _place(self, name: str) -> Path:
        place = self.directory / f"{name}-{len(self._started)}"
        place.mkdir(exist_ok=True)
        return place

    def _add(self, service: Started) -> Started:
        self._exits.callback(service.stop)
        self._started.append(service)
        return service
