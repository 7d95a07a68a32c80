"""Once a second: says on the board that this worker is there, and looks whether it has gone deaf to its queues.

A deaf worker cannot be talked to; whoever runs it starts it again. Ending it loses nothing: what it holds is either
reported or covered by ingest's lease.
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
    """What knows the workers and the queues."""

    def announce(self, worker: WorkerHeartbeat) -> None:
        """Say that a worker is there. Raises QueueUnavailable."""

    def withdraw(self, worker_id: str) -> None:
        """It takes no more tasks. Raises QueueUnavailable."""

    def queues(self) -> dict[str, int]:
        """How many tasks wait in each queue. Raises QueueUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """What a worker process is there for; `tasks_held` is how many tasks it takes at most, countdowns included."""

    worker_id: str
    queues: tuple[str, ...]
    slots: int
    tasks_held: int
    started_at: float


class Heartbeat:
    """Started once per worker process; `deaf` is called on its thread, at most once."""

    def __init__(
        self,
        coordination: WorkerRegistry,
        post: WorkerInfo,
        load: WorkerLoad,
        *,
        monotonic: Monotonic,
        stuck_after_s: float,
        waiting_for_countdown: Callable[[], int],
        stuck: Callable[[], None],
    ) -> None:
        self._coordination = coordination
        self._post = post
        self._load = load
        self._monotonic = monotonic
        self._waiting_for_countdown = waiting_for_countdown
        self._stuck = stuck
        self._stuck_worker = {queue: StuckWorkerDetector(stuck_after_s) for queue in post.queues}
        self._stopping = Event()
        self._away = False
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Announce the worker now, and again and again."""
        self._thread.start()

    def stop(self) -> None:
        """Withdraw the worker; does not wait for it."""
        self._stopping.set()

    def join(self, budget_s: float) -> None:
        """Wait for the end of the thread, unless this is the thread."""
        if self._thread.is_alive() and self._thread is not current_thread():
            self._thread.join(budget_s)

    def state(self) -> WorkerHeartbeat:
        """The worker as it is now."""
        post = self._post
        since_began_s, since_ended_s = self._load.ages()
        return WorkerHeartbeat(
            id=post.worker_id,
            queues=post.queues,
            threads=post.slots,
            busy=self._load.busy,
            since_began_s=since_began_s,
            since_ended_s=since_ended_s,
            started_at=post.started_at,
        )

    def look(self) -> bool:
        """Announce the worker, and answer whether it is deaf. A Redis that does not answer says nothing about it."""
        try:
            self._coordination.announce(self.state())
            waiting = self._coordination.queues()
        except QueueUnavailable as error:
            for stuck_worker in self._stuck_worker.values():
                stuck_worker.start_over()
            self._say_away(error)
            return False
        self._away = False
        return any(self._is_stuck(queue, waiting.get(queue, 0)) for queue in self._post.queues)

    def _is_stuck(self, queue: str, waiting: int) -> bool:
        busy = self._load.busy
        room = min(self._post.slots - busy, self._post.tasks_held - busy - self._waiting_for_countdown())
        taken = self._load.taken(queue)
        stuck = self._stuck_worker[queue].look(self._monotonic(), waiting=waiting, room=room, taken=taken)
        if stuck:
            _log.error("worker_stuck", code="worker_stuck", worker=self._post.worker_id, queue=queue, waiting=waiting)
        return stuck

    def _run(self) -> None:
        try:
            while not self._looked_stuck():
                if self._stopping.wait(INTERVAL_S):
                    self._coordination.withdraw(self._post.worker_id)
                    return
        except QueueUnavailable as error:
            self._say_away(error)
            return
        self._stuck()

    def _looked_stuck(self) -> bool:
        try:
            return self.look()
        except Exception:  # noqa: BLE001 - the top of the thread: a worker nobody sees still works
            _log.exception("watch_failed")
            return False

    def _say_away(self, error: QueueUnavailable) -> None:
        """Once for as long as it lasts: whoever needs Redis for work says so as well."""
        if not self._away:
            self._away = True
            _log.warning("worker_unannounced", code=error.code, detail=error.detail, worker=self._post.worker_id)
