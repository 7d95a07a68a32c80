"""The worker's heartbeat, written once a second, and the check whether this worker is stuck.

A stuck worker runs, but takes no more tasks from its queues, and the process cannot repair that. So the process ends
itself, and its supervisor starts it again. No record is lost: the deliveries that it holds are reported, or ingest
sends them again when their lease has run out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread, current_thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.monitoring.stuck_worker import StuckWorkerDetector
from workers.delivery.worker_load import WorkerLoad

INTERVAL_S = 1.0

_log = logs.get(__name__)


class WorkerRegistry(Protocol):
    """The part of the coordination store that holds heartbeats and the lengths of the queues."""

    def write_heartbeat(self, worker: WorkerHeartbeat) -> None:
        """Store the state of a worker. Raises QueueUnavailable."""

    def remove_heartbeat(self, worker_id: str) -> None:
        """Remove a worker, which takes no more tasks. Raises QueueUnavailable."""

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue. Raises QueueUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """The constant facts about a worker process; `tasks_held` is how many tasks it takes at most, with countdowns."""

    worker_id: str
    queues: tuple[str, ...]
    threads: int
    tasks_held: int
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerErrors:
    """Why the worker cannot read the database, and which secrets it cannot decrypt; empty where it can."""

    store: str = ""
    secrets: str = ""


class Heartbeat:
    """One thread for each worker process. It calls `stuck` when the worker is stuck, at most once."""

    def __init__(
        self,
        registry: WorkerRegistry,
        info: WorkerInfo,
        load: WorkerLoad,
        *,
        monotonic: Monotonic,
        stuck_after_s: float,
        waiting_for_countdown: Callable[[], int],
        errors: Callable[[], WorkerErrors],
        stuck: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._info = info
        self._load = load
        self._monotonic = monotonic
        self._waiting_for_countdown = waiting_for_countdown
        self._errors = errors
        self._stuck = stuck
        self._detectors = {queue: StuckWorkerDetector(stuck_after_s) for queue in info.queues}
        self._stopping = Event()
        self._unreachable = False
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, which writes the first heartbeat at once."""
        self._thread.start()

    def stop(self) -> None:
        """Make the thread remove the heartbeat and end; returns at once."""
        self._stopping.set()

    def join(self, budget_s: float) -> None:
        """Wait for the end of the thread, unless this is the thread."""
        if self._thread.is_alive() and self._thread is not current_thread():
            self._thread.join(budget_s)

    def current(self) -> WorkerHeartbeat:
        """The heartbeat with the load of this moment."""
        since_began_s, since_ended_s = self._load.ages()
        errors = self._errors()
        return WorkerHeartbeat(
            id=self._info.worker_id,
            queues=self._info.queues,
            threads=self._info.threads,
            busy=self._load.busy,
            since_began_s=since_began_s,
            since_ended_s=since_ended_s,
            started_at=self._info.started_at,
            store_error=errors.store,
            secrets_error=errors.secrets,
        )

    def write_and_check(self) -> bool:
        """Write the heartbeat, and return whether the worker is stuck.

        While Redis is down this is unknown, so the check starts again when Redis is up.
        """
        try:
            self._registry.write_heartbeat(self.current())
            waiting = self._registry.queue_lengths()
        except QueueUnavailable as error:
            for detector in self._detectors.values():
                detector.reset()
            self._log_unreachable(error)
            return False
        self._unreachable = False
        return any(self._is_stuck(queue, waiting.get(queue, 0)) for queue in self._info.queues)

    def _is_stuck(self, queue: str, waiting: int) -> bool:
        busy = self._load.busy
        free = min(self._info.threads - busy, self._info.tasks_held - busy - self._waiting_for_countdown())
        taken = self._load.tasks_taken(queue)
        stuck = self._detectors[queue].check(self._monotonic(), waiting=waiting, free=free, taken=taken)
        if stuck:
            _log.error("worker_stuck", code="worker_stuck", worker=self._info.worker_id, queue=queue, waiting=waiting)
        return stuck

    def _run(self) -> None:
        try:
            while not self._write_and_check_or_log():
                if self._stopping.wait(INTERVAL_S):
                    self._registry.remove_heartbeat(self._info.worker_id)
                    return
        except QueueUnavailable as error:
            self._log_unreachable(error)
            return
        self._stuck()

    def _write_and_check_or_log(self) -> bool:
        try:
            return self.write_and_check()
        except Exception:  # noqa: BLE001 - the top of the thread: a worker without a heartbeat still works
            _log.exception("heartbeat_failed")
            return False

    def _log_unreachable(self, error: QueueUnavailable) -> None:
        """Log that no heartbeat could be written, once for each time that Redis is down."""
        if not self._unreachable:
            self._unreachable = True
            _log.warning("heartbeat_not_written", code=error.code, detail=error.detail, worker=self._info.worker_id)
