"""Serves the API: by gunicorn for `webhookd api`, by a thread in the embedded service."""

import logging
import os
import tempfile
import threading
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from api import cluster_check
from api.application import build
from api.ports import services_of
from webhookd import logs
from webhookd.errors import ClusterMismatch, NoTemporaryDirectory, Unavailable
from webhookd.settings import Settings

WORKERS = 2
THREADS = 8
REQUEST_S = 30
"""gunicorn replaces a worker process that is stuck for this long; it is longer than every timeout of the API."""
STOP_S = 10

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


class ApiServer(BaseApplication):
    """gunicorn with threads; each worker process builds its own application after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heartbeats = heartbeat_directory()
        super().__init__()

    def load_config(self) -> None:
        """Set the options that the API relies on; gunicorn reads no configuration file."""
        options: dict[str, Any] = {
            "bind": self._settings.api_bind,
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": "gthread",
            "timeout": REQUEST_S,
            "graceful_timeout": STOP_S,
            "keepalive": 5,
            "logger_class": StructuredGunicornLogger,
            "preload_app": False,
            "worker_tmp_dir": self._heartbeats,
            # gunicorn's own remote control, a socket in the user's home.
            "control_socket_disable": True,
            "proc_name": "webhookd-api",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application of one worker process. Raises ClusterMismatch, which ends all of gunicorn."""
        app = build(self._settings)
        try:
            cluster_check.confirm(services_of(app), self._settings.kafka_ask_timeout_s)
        except ClusterMismatch as error:
            logs.get(__name__).error("cluster_mismatch", code=error.code, detail=error.detail)
            raise
        except Unavailable as error:  # each registration checks the cluster again
            logs.get(__name__).warning("cluster_unconfirmed", code=error.code, detail=error.detail)
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


def serve(settings: Settings) -> None:
    """Serve until a stop signal; after SIGTERM the open requests end first. Raises NoTemporaryDirectory."""
    logs.configure(settings.log_format, settings.log_level)
    ApiServer(settings).run()


class QuietHandler(WSGIRequestHandler):
    """Handles requests over HTTP/1.1 without logging them."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the application logs what matters."""


class EmbeddedServer:
    """The API in a thread of this process; `port` is the bound port, even if port 0 was requested."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=QuietHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests and close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_embedded(app: Flask, host: str = "127.0.0.1", port: int = 0) -> EmbeddedServer:
    """Serve in the background; the port is open when this returns."""
    return EmbeddedServer(app, host, port)
