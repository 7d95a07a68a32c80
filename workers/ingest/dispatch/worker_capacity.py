"""The threads of the live workers, how many are busy, and how many ingest processes share them: asked once a second."""

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
    """Where workers announce themselves."""

    def live_workers(self) -> Sequence[WorkerHeartbeat]:
        """Those that are alive. Raises QueueUnavailable."""


class WorkerCapacity:
    """One thread; `share` is called on it with each answer. Without any worker the last answer stays."""

    def __init__(
        self, coordination: WorkerHeartbeats, *, ingests: Callable[[], int], on_load: Callable[[ThreadLoad], None]
    ) -> None:
        self._coordination = coordination
        self._ingests = ingests
        self._on_load = on_load
        self._logged: WorkerThreads | None = None
        self._stop = Event()
        self._thread = Thread(target=self._run, name="slot-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
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
                self._on_load(self._logs(load_of(workers, self._ingests())))

    def _logs(self, load: ThreadLoad) -> ThreadLoad:
        """The same, after a line in the log when the slots changed."""
        slots = load.threads
        if slots != self._logged:
            self._logged = slots
            _log.info("worker_threads", first=slots.first, retry=slots.retry, both=slots.both, ingests=slots.ingests)
        return load
