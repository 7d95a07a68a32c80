"""A Celery worker in a thread of this process: the same consumer, pool and task, without signals or child processes.

start   returns when the worker consumes its queues
stop    sends Celery's remote `shutdown`, which the worker's thread receives like any message; running tasks end first
"""

import logging
import os
from threading import Event, Thread
from typing import Any

from celery import Celery

from webhookd import logs
from webhookd.errors import QueueUnavailable
from workers.task_names import QUEUES

START_S = 15.0

_log = logs.get(__name__)


class EmbeddedWorker:
    """Consumes both queues of an application, with a pool of `threads`."""

    def __init__(self, app: Celery, threads: int) -> None:
        self._app = app
        self._ready = Event()
        self._name = f"embedded@{os.getpid()}-{id(self):x}"
        # As in any worker process, the pool's threads look up the task in the default application.
        app.set_default()
        app.finalize()
        self._controller: Any = app.WorkController(
            hostname=self._name,
            queues=list(QUEUES.values()),
            concurrency=threads,
            pool_cls="threads",
            loglevel="WARNING",
            ready_callback=lambda _consumer: self._ready.set(),
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
        )
        self._thread = Thread(target=self._run, name="celery-worker", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the worker runs; False after `stop`, or after an error that ended Celery."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the worker; blocks until it consumes. Raises QueueUnavailable after `START_S`."""
        self._thread.start()
        if not self._ready.wait(START_S) or not self.alive:
            raise QueueUnavailable("the embedded worker did not start")

    def stop(self, budget_s: float) -> None:
        """Take no more tasks, and wait for those that run; blocks for at most about `budget_s`."""
        if self._ready.is_set() and self.alive:
            # Celery warns about a shutdown from outside; this one comes from this process.
            logging.getLogger("celery.worker.control").setLevel(logging.ERROR)
            self._app.control.shutdown(destination=[self._name])
            self._thread.join(budget_s)
        self._app.close()

    def _run(self) -> None:
        self._controller.start()
        self._ready.set()
