"""Whether a queue is worked on: somebody consumes it, and takes what waits in it.

    queue_stalled   tasks waited at every look for 30 s, and no consumer has begun one in that time

Consumers that are merely too slow begin a task now and then; a request deadline bounds how long one may take.
"""

from collections.abc import Iterable, Mapping

from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat

STALLED_S = 30.0


def queues_without_workers(waiting: Mapping[str, int], workers: Iterable[WorkerHeartbeat]) -> list[str]:
    """The queues that no worker consumes."""
    consumed = {queue for worker in workers for queue in worker.queues}
    return sorted(set(waiting) - consumed)


class QueueStallDetector:
    """Watches all queues; told of each look in order."""

    def __init__(self, after_s: float = STALLED_S) -> None:
        self._after_s = after_s
        self._waiting_since: dict[str, float] = {}

    def check(self, waiting: Mapping[str, int], workers: Iterable[WorkerHeartbeat], now: float) -> dict[str, int]:
        """The queues that have stalled, and how many tasks wait in each; `now` is monotonic.

        A queue without consumers is not stalled: that is another fault.
        """
        attended = list(workers)
        consumed = {queue for worker in attended for queue in worker.queues}
        stalled = {}
        for queue, tasks in waiting.items():
            if not tasks or queue not in consumed:
                self._waiting_since.pop(queue, None)
                continue
            since = self._waiting_since.setdefault(queue, now)
            if now - since >= self._after_s and not self._began_since(queue, attended, now - since):
                stalled[queue] = tasks
        return stalled

    def _began_since(self, queue: str, workers: Iterable[WorkerHeartbeat], age_s: float) -> bool:
        ages = [
            worker.since_began_s + worker.silent_s
            for worker in workers
            if queue in worker.queues and worker.since_began_s is not None
        ]
        return any(age < min(age_s, self._after_s) for age in ages)
