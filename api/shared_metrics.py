"""The metrics of the worker processes of the API: all record them, and one at a time serves the sums.

    master, before a fork     the worker process gets a number, which names its files
    worker process, forked    records into its files from now on
    chosen worker process     serves, when it can answer requests
    master, at an end         the gauges of the worker process that has ended count no more

The master listens, so that the port stays the same when another worker process is chosen. Where it found no free port,
the chosen worker process tries again. The master has no thread: a fork would copy its locks in any state.
"""

import os
from itertools import count
from pathlib import Path
from typing import Any, Final

from gunicorn.arbiter import Arbiter

from api.metrics_directory import MetricsDirectory
from webhookd import logs
from webhookd.metrics import multiprocess
from webhookd.metrics.declaration import Process
from webhookd.metrics_server import MetricsServer, listen
from webhookd.settings import Settings

PROCESSES: Final = frozenset({Process.API})

_log = logs.get(__name__)


def shared_metrics(settings: Settings, parent: str) -> "SharedMetrics | None":
    """Return the metrics with their files in a directory in `parent`; None when they are switched off, or have no room.

    Call it in the master.
    """
    try:
        return SharedMetrics(settings, parent) if settings.metrics_bind else None
    except OSError as error:
        _not_recorded(parent, error)
        return None


class SharedMetrics:
    """The metrics of gunicorn's worker processes; see the module."""

    def __init__(self, settings: Settings, parent: str) -> None:
        self._settings = settings
        self._directory = MetricsDirectory(parent)
        self._listener = listen(settings.metrics_bind)
        self._master = os.getpid()
        self._server: MetricsServer | None = None

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return self._directory.path

    def assign_number(self, master: Arbiter, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Give a worker process the first number that no running one has; called before the fork."""
        taken = {other.metrics_number for other in master.WORKERS.values()}
        worker.metrics_number = next(number for number in count(1) if number not in taken)

    def record(self, _master: Arbiter, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Record from now on; called in the worker process, which works without metrics where there is no room."""
        try:
            multiprocess.record_in(self.directory, worker.metrics_number)
            registry = multiprocess.shared_registry(self.directory, self._master)
            self._server = MetricsServer(self._settings, PROCESSES, registry=registry, listener=self._listener)
        except OSError as error:
            _not_recorded(str(self.directory), error)

    def serve(self) -> None:
        """Serve in this worker process until its end."""
        if self._server is not None:
            self._server.start()

    def end(self, _master: Arbiter, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Let the gauges of a worker process that has ended count no more; called in the master."""
        try:
            multiprocess.end(self.directory, worker.metrics_number)
        except OSError as error:
            _not_recorded(str(self.directory), error)

    def close(self) -> None:
        """In the master: close the port, and remove the files."""
        if self._listener is not None:
            self._listener.close()
        self._directory.remove()


def _not_recorded(directory: str, error: OSError) -> None:
    _log.warning("metrics_not_recorded", code="metrics_not_recorded", directory=directory, error=str(error))
