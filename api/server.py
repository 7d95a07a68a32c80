"""Serves the API by gunicorn, for `webhookd api`."""

import logging
import os
import signal
import socket
import sys
import tempfile
from functools import partial
from time import sleep
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.util import parse_address

from api import cluster_check
from api.application import build
from api.ports import Services, services_of
from api.server_errors import ServerErrors
from api.server_worker import BufferingWorker
from api.shared_metrics import SharedMetrics, shared_metrics
from webhookd import logs
from webhookd.debug_signal import DebugSignal
from webhookd.errors import (
    ClusterMismatch,
    NoTemporaryDirectory,
    SchemaMismatch,
    StoreUnavailable,
    Unavailable,
    UnusableSetting,
)
from webhookd.service_watch import ServiceWatch, WatchedService, watched_database, watched_kafka, watched_redis
from webhookd.settings import Settings
from webhookd.store import schema
from webhookd.store.database import Database
from webhookd.store.schema_watch import SchemaWatch

WORKERS = 2
THREADS = 8
REQUEST_S = 30
"""gunicorn replaces a worker process that is stuck for this long; it is longer than every timeout of the API."""
STOP_S = 10
CONNECTIONS = 500
"""Of each worker process, below the 1,024 open files that a process may have by default; others wait to be accepted."""
REQUEST_LINE_BYTES = 8190
HEADER_FIELDS = 64
KAFKA_PING_S = 3.0
BIND_TRIES = 5
BIND_RETRY_S = 0.5

_log = logs.get(__name__)

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn creates its file there securely
"""A mount that containers have even with a read-only root."""


class StructuredGunicornLogger(Logger):
    """gunicorn's log lines in webhookd's format instead of its own."""

    def setup(self, cfg: object) -> None:
        """Pass every line to the root logger, which `logs.configure` has set up."""
        self.cfg = cfg
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        self.error_log.setLevel(logging.INFO)


class Master(Arbiter):
    """gunicorn's master process. It logs the stop, and a second signal ends it at once, with its worker processes.

    It stops too when a worker process has passed on an error. That is no signal: those of two worker processes, or one
    beside an operator's signal, would count as the second one.
    """

    _stopping = False

    def __init__(self, app: BaseApplication, errors: ServerErrors) -> None:
        self._errors = errors
        super().__init__(app)

    def murder_workers(self) -> None:
        """End worker processes that are stuck; gunicorn calls it about once a second, and when one has ended."""
        if self._errors.waiting:
            raise StopIteration  # as gunicorn's own handlers of signals stop it
        super().murder_workers()

    def handle_usr2(self) -> None:
        """Pass the signal that switches debug on and off to the worker processes; gunicorn would start a second API."""
        self.kill_workers(signal.SIGUSR2)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's
        """Stop the worker processes; gunicorn calls it twice after SIGINT."""
        if not self._stopping:
            self._stopping = True
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, self._end_at_once)
            _log.info("stopping", process="api", budget_s=STOP_S, note="a second signal ends the process at once")
        super().stop(graceful)

    def _end_at_once(self, number: int, _frame: FrameType | None) -> None:
        self.kill_workers(signal.SIGKILL)
        os._exit(128 + number)


class ChosenWorker:
    """One worker process at a time, for what the API must do once: watch the services, and serve the metrics."""

    def __init__(self, metrics: SharedMetrics | None) -> None:
        self._chosen: int | None = None
        self._metrics = metrics

    def choose(self, master: Arbiter, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Choose this worker process unless another one that runs was chosen; called before the fork."""
        if not any(other.age == self._chosen for other in master.WORKERS.values()):
            self._chosen = worker.age
        if self._metrics is not None:
            self._metrics.assign_number(master, worker)

    def start(self, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Start in the chosen worker process what it does; called when it can answer requests."""
        if worker.age != self._chosen:
            return
        services = services_of(worker.wsgi)
        ServiceWatch(watched_by_api(services)).start(within_s=0.0)  # the log says once what the API waits for
        if self._metrics is not None:
            self._metrics.serve()
        _log.info("api_ready", address=services.settings.api_bind)


def watched_by_api(services: Services) -> list[WatchedService]:
    """Return the services that the API waits for."""
    settings = services.settings
    watched = [
        watched_kafka(settings, partial(services.brokers.ping, KAFKA_PING_S)),
        watched_database(settings, services.database.ping),
    ]
    if services.coordination is not None:
        watched.append(watched_redis(settings, services.coordination.ping))
    return watched


class ApiServer(BaseApplication):
    """gunicorn with threads; each worker process builds its own application after the fork."""

    def __init__(self, settings: Settings, errors: ServerErrors, metrics: SharedMetrics | None = None) -> None:
        self._settings = settings
        self._errors = errors
        self._metrics = metrics
        self._heartbeats = heartbeat_directory()
        self.debug_signal = DebugSignal(settings.log_debug_s)
        """Each worker process installs it."""
        super().__init__()

    def load_config(self) -> None:
        """Set the options that the API relies on; gunicorn reads no configuration file."""
        chosen = ChosenWorker(self._metrics)
        options: dict[str, Any] = {
            "bind": self._settings.api_bind,
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": BufferingWorker,
            "worker_connections": CONNECTIONS,
            "limit_request_line": REQUEST_LINE_BYTES,
            "limit_request_fields": HEADER_FIELDS,
            "http_parser": "python",
            # A client on this machine could move the API to another path with the header SCRIPT_NAME.
            "forwarder_headers": "",
            # Responses are written into memory first.
            "sendfile": False,
            "timeout": REQUEST_S,
            "graceful_timeout": STOP_S,
            "keepalive": 5,
            "logger_class": StructuredGunicornLogger,
            "preload_app": False,
            "pre_fork": chosen.choose,
            "post_worker_init": chosen.start,
            "on_exit": _log_end,
            "worker_tmp_dir": self._heartbeats,
            # gunicorn's own remote control, a socket in the user's home.
            "control_socket_disable": True,
            "proc_name": "webhookd-api",
        }
        if self._metrics is not None:
            options |= {"post_fork": self._metrics.record, "child_exit": self._metrics.end}
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Serve until a stop signal. Raises RuntimeError when gunicorn cannot start."""
        Master(self, self._errors).run()

    def load(self) -> Flask:
        """Return the application of one worker process; with the wrong cluster or schema, end all of gunicorn."""
        app = build(self._settings)
        services = services_of(app)
        try:
            SchemaWatch(services.database, self._errors.end_server).start()
            cluster_check.confirm(services, self._settings.kafka_ask_timeout_s)
        except (SchemaMismatch, ClusterMismatch) as error:
            self._errors.end_server(error)
            sys.exit(0)
        except Unavailable as error:  # each registration checks the cluster again
            _log.warning("cluster_unconfirmed", code=error.code, detail=error.detail)
        return app


def heartbeat_directory() -> str:
    """Return a directory for the files by which gunicorn sees that a worker process lives: in memory, if possible.

    Raises NoTemporaryDirectory.
    """
    if os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return SHARED_MEMORY
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        raise NoTemporaryDirectory from None


def _log_end(_master: Arbiter) -> None:
    _log.info("stopped", process="api")


def serve(settings: Settings) -> None:
    """Serve until a stop signal; after SIGTERM the open requests end first.

    Raises SchemaMismatch, ClusterMismatch, NoTemporaryDirectory, and UnusableSetting for the database's URL and a port
    that is taken.
    """
    _check_address(settings.api_bind)
    _check_schema(settings)
    if settings.api_auth == "none":
        _log.warning("api_open", address=settings.api_bind, detail="WEBHOOKD_API_AUTH is none: everybody is an admin")
    errors = ServerErrors()
    metrics = shared_metrics(settings, heartbeat_directory())
    try:
        ApiServer(settings, errors, metrics).run()
    finally:
        if metrics is not None:
            metrics.close()
        errors.raise_first()


def _check_address(bind: str) -> None:
    """Raises UnusableSetting when nobody can listen there. gunicorn says so in ten lines that do not name the setting.

    It is tried for some seconds: the worker processes of an API that was killed close its port a moment later.
    """
    host, port = parse_address(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for left in reversed(range(BIND_TRIES)):
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            if not left:
                raise UnusableSetting(f"cannot listen on {bind}: {error.strerror}", setting="api_bind") from None
            sleep(BIND_RETRY_S)
        else:
            return


def _check_schema(settings: Settings) -> None:
    """Raises SchemaMismatch before the first line of gunicorn; each worker process checks a database that is down."""
    database = Database(settings.database_url)
    try:
        schema.confirm(database)
    except SchemaMismatch:
        raise
    except StoreUnavailable:
        return
    finally:
        database.close()  # a fork must not inherit a connection
