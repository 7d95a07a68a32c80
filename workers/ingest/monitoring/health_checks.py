"""Runs the checks of the outside systems, each on a thread of its own, within one deadline.

A check that hangs counts as failed until it returns, and is not started a second time meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import NoWorkers, QueueStalled, QueueUnavailable, Unavailable, WorkersLackKeys, WorkersLackStore
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.monitoring.queue_stall import QueueStallDetector, queues_without_workers

DEADLINE_S = 6.0
"""Longer than the longest socket timeout of a check (Redis: 5 s), so that the check's own error is reported."""

Check = Callable[[], None]
"""A check raises Unavailable with the code of its fault if the system that it checks does not work."""

_log = logs.get(__name__)


class HealthChecks:
    """Runs the checks, which are given by the code of the fault that each detects."""

    def __init__(self, checks: Mapping[str, Check], *, deadline_s: float = DEADLINE_S) -> None:
        self._checks = checks
        self._deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(max(1, len(checks)), thread_name_prefix="health-checks")
        self._running: dict[str, Future[str | None]] = {}

    def run(self) -> dict[str, str | None]:
        """Run all checks; return by code the error, None where there is none. A check that could not run is absent."""
        for code, check in self._checks.items():
            before = self._running.get(code)
            if before is None or before.done():
                self._running[code] = self._pool.submit(_run, code, check)
        wait(self._running.values(), self._deadline_s)
        results: dict[str, str | None] = {}
        for code, running in self._running.items():
            if not running.done():
                results[code] = f"no answer within {self._deadline_s:.0f} s"
            elif running.exception() is None:
                results[code] = running.result()
        return results

    def stop(self) -> None:
        """Start no further checks; returns at once."""
        self._pool.shutdown(wait=False)


class QueueStates(Protocol):
    """Workers and queues, as the coordination store has them."""

    def live_workers(self) -> list[WorkerHeartbeat]:
        """Return the heartbeats of the live workers. Raises QueueUnavailable."""

    def queue_lengths(self) -> dict[str, int]:
        """Return how many tasks wait in each queue. Raises QueueUnavailable."""


class SeenQueues(NamedTuple):
    """How many tasks wait in each queue, and the live workers."""

    tasks: Mapping[str, int]
    workers: Sequence[WorkerHeartbeat]

    def workers_by_queue(self) -> Mapping[str, int]:
        """How many live workers consume each queue; 0 for a queue that none of them consumes."""
        numbers = dict.fromkeys(self.tasks, 0)
        for worker in self.workers:
            for queue in worker.queues:
                numbers[queue] = numbers.get(queue, 0) + 1
        return numbers


class WorkerChecks:
    """Checks that workers consume the queues, take their tasks, and read the database.

    `ping_store` raises StoreUnavailable when this process does not reach the database either. Any thread may read
    `seen`: the queues and the live workers as they were read last, None if they could not be read.
    """

    def __init__(self, coordination: QueueStates, ping_store: Check, monotonic: Monotonic) -> None:
        self._coordination = coordination
        self._ping_store = ping_store
        self._monotonic = monotonic
        self._stalls = QueueStallDetector()
        self.seen: SeenQueues | None = None

    def queues_have_consumers(self) -> None:
        """Raises NoWorkers when a queue has no consumer."""
        queues = queues_without_workers(self._coordination.queue_lengths(), self._coordination.live_workers())
        if queues:
            raise NoWorkers(f"no worker consumes {', '.join(queues)}")

    def workers_read_store(self) -> None:
        """Raises WorkersLackStore when a live worker cannot read the database, and StoreUnavailable when nobody can."""
        lacking = [
            f"{worker.id}: {worker.store_error}" for worker in self._coordination.live_workers() if worker.store_error
        ]
        if lacking:
            self._ping_store()  # an outage of the database is one fault, not two
            raise WorkersLackStore("; ".join(lacking))

    def workers_decrypt(self) -> None:
        """Raises WorkersLackKeys when a live worker cannot decrypt the secrets of a subscription."""
        workers = self._coordination.live_workers()
        lacking = [f"{worker.id}: {worker.secrets_error}" for worker in workers if worker.secrets_error]
        if lacking:
            raise WorkersLackKeys("; ".join(lacking))

    def queues_move(self) -> None:
        """Raises QueueStalled when tasks wait and no worker takes them."""
        seen = self._see()
        stalled = self._stalls.check(seen.tasks, seen.workers, self._monotonic())
        if stalled:
            raise QueueStalled(", ".join(f"{tasks} tasks wait in {queue}" for queue, tasks in stalled.items()))

    def _see(self) -> SeenQueues:
        try:
            seen = SeenQueues(self._coordination.queue_lengths(), self._coordination.live_workers())
        except QueueUnavailable:
            self.seen = None
            raise
        self.seen = seen
        return seen


def _run(code: str, check: Check) -> str | None:
    """Return the error, None without one. Raises Unavailable with another code when the check could not run."""
    try:
        check()
    except Unavailable as error:
        if error.code != code:
            raise
        return error.detail or str(error)
    except Exception:
        _log.exception("check_failed", fault=code)
        raise
    return None
