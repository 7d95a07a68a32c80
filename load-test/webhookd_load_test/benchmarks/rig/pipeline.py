"""One ingest process and its workers."""

import signal
from collections.abc import Callable

from stack.child import Child
from webhookd_load_test.process_usage import Roots, Usage, usage

STOP_TIMEOUT_S = 45.0


class Pipeline:
    """An ingest process and its workers."""

    def __init__(self, command: Callable[..., Child], workers: int, threads: int | None) -> None:
        self._command = command
        self._threads = () if threads is None else ("--threads", str(threads))
        self.ingest = command("ingest")
        self.workers = [self._start_worker(number) for number in range(workers)]

    def restart_worker(self) -> None:
        """Wait for the end of the first worker and start a new one in its place."""
        self.workers[0].wait()
        self.workers[0] = self._start_worker(0)

    def ensure_workers(self, workers: int) -> None:
        """Start workers until there are at least this many."""
        self.workers += [self._start_worker(number) for number in range(len(self.workers), workers)]

    def stop(self) -> None:
        """Stop all processes."""
        children = [*self.workers, self.ingest]
        for child in children:
            child.send(signal.SIGTERM)
        for child in children:
            child.stop(STOP_TIMEOUT_S)

    def usage(self, services: Roots) -> Usage:
        """The usage of ingest, the workers and the services up to now."""
        ours = {"ingest": [self.ingest.pid], "worker": [worker.pid for worker in self.workers]}
        return usage({**ours, **services})

    def _start_worker(self, number: int) -> Child:
        return self._command("worker", *self._threads, log=f"worker-{number}")
