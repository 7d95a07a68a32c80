"""The parts that webhookd stands on, asked whether they work: each on a thread of its own, within one deadline.

A part that hangs is asked by one thread only, and has failed until it answers.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import NoWorkers, QueueStalled, Unavailable
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.monitoring.queue_stall import QueueStallDetector, queues_without_workers

DEADLINE_S = 6.0
"""Above the longest socket timeout of a part (Redis: 5 s), so that it is the part's own word that is heard."""

Check = Callable[[], None]
"""Raises Unavailable with the part's code when it does not work."""

_log = logs.get(__name__)


class HealthChecks:
    """Checks by the code of the fault they look for."""

    def __init__(self, checks: Mapping[str, Check], *, deadline_s: float = DEADLINE_S) -> None:
        self._checks = checks
        self._deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(max(1, len(checks)), thread_name_prefix="parts")
        self._asked: dict[str, Future[str | None]] = {}

    def run(self) -> dict[str, str | None]:
        """What is wrong, by code; None where nothing is. A code is absent when its part could not be asked."""
        for code, check in self._checks.items():
            before = self._asked.get(code)
            if before is None or before.done():
                self._asked[code] = self._pool.submit(_answer, code, check)
        wait(self._asked.values(), self._deadline_s)
        answers: dict[str, str | None] = {}
        for code, asked in self._asked.items():
            if not asked.done():
                answers[code] = f"no answer within {self._deadline_s:.0f} s"
            elif asked.exception() is None:
                answers[code] = asked.result()
        return answers

    def stop(self) -> None:
        """Ask nobody any more; returns at once."""
        self._pool.shutdown(wait=False)


class QueueStates(Protocol):
    """What the board says of workers and queues."""

    def live_workers(self) -> list[WorkerHeartbeat]:
        """The workers that are alive. Raises QueueUnavailable."""

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue. Raises QueueUnavailable."""


class WorkerChecks:
    """Whether workers take the tasks there are."""

    def __init__(self, coordination: QueueStates, monotonic: Monotonic) -> None:
        self._coordination = coordination
        self._monotonic = monotonic
        self._stalls = QueueStallDetector()

    def queues_have_consumers(self) -> None:
        """Raises NoWorkers when a queue has no consumer."""
        queues = queues_without_workers(self._coordination.queue_lengths(), self._coordination.live_workers())
        if queues:
            raise NoWorkers(f"no worker consumes {', '.join(queues)}")

    def queues_move(self) -> None:
        """Raises QueueStalled when tasks wait and nobody takes them."""
        stalled = self._stalls.check(
            self._coordination.queue_lengths(), self._coordination.live_workers(), self._monotonic()
        )
        if stalled:
            raise QueueStalled(", ".join(f"{tasks} tasks wait in {queue}" for queue, tasks in stalled.items()))


def _answer(code: str, check: Check) -> str | None:
    """Raises Unavailable when another part is at fault: then this one could not be asked."""
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
