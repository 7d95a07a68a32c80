"""Ingest processes, usually one, and their workers."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.cluster.service_processes import ServiceProcesses
from webhookd_load_test.process_usage import Roots, Usage, usage
from workers.ingest.subscription_limit import subscription_limit

ROOM = 16
"""Of so many subscriptions that an ingest process can run, one place stays free: the hash divides them only roughly."""


def ingest_processes(subscriptions: int) -> int:
    """How many ingest processes so many subscriptions need."""
    most = subscription_limit()
    return 1 if subscriptions <= most else subscriptions // (most - most // ROOM) + 1


class Pipeline:
    """A context: `ingests` ingest processes and their workers, stopped at its end. Each worker has `threads`, if given.

    Raises NotChanged at its end when one does not end within the time limit and is killed.
    """

    def __init__(
        self, environment: Mapping[str, str], workers: int, threads: int | None = None, *, ingests: int = 1
    ) -> None:
        arguments = () if threads is None else ("--threads", str(threads))
        self._ingest = ServiceProcesses("ingest", environment=environment, logs=LOGS)
        self._workers = ServiceProcesses("worker", environment=environment, logs=LOGS, arguments=arguments)
        self._count = workers
        self._ingests = ingests
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.enter_context(self._workers)
            undo.enter_context(self._ingest)  # stopped first: the workers deliver what it waits for
            self._ingest.scale(self._ingests)
            self._workers.scale(self._count)
            self._exits = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def ingests(self) -> int:
        """How many ingest processes run."""
        return len(self._ingest.pids)

    def restart_worker(self) -> None:
        """Kill the first worker with SIGKILL, and start a new one in its place."""
        self._workers.kill_one()()

    def ensure_workers(self, workers: int) -> None:
        """Start workers until there are at least this many."""
        self._workers.scale(max(workers, len(self._workers.pids)))

    def usage(self, services: Roots) -> Usage:
        """The usage of ingest, the workers and the services up to now."""
        ours = {"ingest": list(self._ingest.pids.values()), "worker": list(self._workers.pids.values())}
        return usage({**ours, **services})
