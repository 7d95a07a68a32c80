"""Reads once a second how many threads the live workers have, and how many of them are busy."""

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.concurrency_limit import ThreadLoad, WorkerThreads, load_of
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

INTERVAL_S = 1.0

_log = logs.get(__name__)


class WorkerHeartbeats(Protocol):
    """The part of the coordination store that holds the heartbeats of the workers."""

    def live_workers(self) -> Sequence[WorkerHeartbeat]:
        """The workers that have a heartbeat. Raises QueueUnavailable."""


class WorkerCapacity:
    """One thread, which calls `on_load` with the load; it does not call it while no worker is alive.

    `ingests` returns how many ingest processes share the workers.
    """

    def __init__(
        self, coordination: WorkerHeartbeats, *, ingests: Callable[[], int], on_load: Callable[[ThreadLoad], None]
    ) -> None:
        self._coordination = coordination
        self._ingests = ingests
        self._on_load = on_load
        self._logged: WorkerThreads | None = None
        self._stop = Event()
        self._thread = Thread(target=self._run, name="worker-capacity", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(INTERVAL_S + 6.0)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                workers = self._coordination.live_workers()
            except QueueUnavailable as error:
                _log.info("workers_unknown", code=error.code, detail=error.detail)
                continue
            if workers:
                load = load_of(workers, self._ingests())
                self._log_changes(load.threads)
                self._on_load(load)

    def _log_changes(self, threads: WorkerThreads) -> None:
        if threads != self._logged:
            self._logged = threads
            _log.info(
                "worker_threads", first=threads.first, retry=threads.retry, both=threads.both, ingests=threads.ingests
            )
