"""Whether workers consume each queue and take its tasks.

    queue_stalled   tasks waited at every check for 30 s, and no consumer has started one in that time

Consumers that are too slow still start a task from time to time; the request deadline bounds how long one task takes.
"""

from collections.abc import Iterable, Mapping

from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

STALLED_S = 30.0


def queues_without_workers(waiting: Mapping[str, int], workers: Iterable[WorkerHeartbeat]) -> list[str]:
    """Return the queues that no worker consumes."""
    consumed = {queue for worker in workers for queue in worker.queues}
    return sorted(set(waiting) - consumed)


class QueueStallDetector:
    """Checks all queues; `check` must be called in the order of time."""

    def __init__(self, after_s: float = STALLED_S) -> None:
        self._after_s = after_s
        self._waiting_since: dict[str, float] = {}

    def check(self, waiting: Mapping[str, int], workers: Iterable[WorkerHeartbeat], now: float) -> dict[str, int]:
        """Return the stalled queues with the number of tasks that wait in each; `now` is monotonic.

        A queue without consumers is not stalled: that is another fault.
        """
        consumers = list(workers)
        consumed = {queue for worker in consumers for queue in worker.queues}
        stalled = {}
        for queue, tasks in waiting.items():
            if not tasks or queue not in consumed:
                self._waiting_since.pop(queue, None)
                continue
            since = self._waiting_since.setdefault(queue, now)
            if now - since >= self._after_s and not self._task_started(queue, consumers, now - since):
                stalled[queue] = tasks
        return stalled

    def _task_started(self, queue: str, workers: Iterable[WorkerHeartbeat], age_s: float) -> bool:
        ages = [
            worker.since_began_s + worker.silent_s
            for worker in workers
            if queue in worker.queues and worker.since_began_s is not None
        ]
        return any(age < min(age_s, self._after_s) for age in ages)
