"""Serves the metrics of a process to Prometheus: `GET /metrics`, as Prometheus text or OpenMetrics.

It listens on the first free port of WEBHOOKD_METRICS_BIND. Where none is free, the process works without, says so in
the log, and tries again: nothing that delivers may depend on who watches it.
"""

import platform
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from webhookd import __version__, logs
from webhookd.metrics.catalogue.services import BUILD_INFO
from webhookd.metrics.declaration import Process
from webhookd.metrics.exposition import Exposition, Source, Sources
from webhookd.settings import Settings

PATH = "/metrics"
RETRY_S = 10.0
"""How often a port is tried for when none was free."""

REQUEST_S = 10.0
"""How long a client may take to send its request: each connection has a thread."""

STOP_S = 1.0

_log = logs.get(__name__)


class MetricsServer:
    """Serves the metrics of this process from `start` to `stop`; without WEBHOOKD_METRICS_BIND it does nothing.

    `registry` is what is served in place of the process's own metrics: the API has several worker processes.
    """

    def __init__(
        self, settings: Settings, processes: frozenset[Process], registry: CollectorRegistry | None = None
    ) -> None:
        self._address = settings.metrics_bind
        self._exposition = Exposition(processes, _source_failed) if self._address else None
        self._registry = registry
        self._processes = processes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self.port = 0
        """The port that it listens on; 0 while it listens on none."""

    @property
    def sources(self) -> Sources | None:
        """Where the parts of the process add their sources; None while metrics are off, so that they count nothing."""
        return self._exposition

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""
        if self._exposition is not None:
            self._exposition.add_source(source)

    def start(self) -> None:
        """Start the thread; returns at once."""
        if self._exposition is not None:
            for process in self._processes:
                BUILD_INFO.set(1, __version__, process, platform.python_version())
            self._thread.start()

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._stopping.set()
        if self._exposition is not None:
            if self._thread.is_alive():
                self._thread.join(STOP_S)
            self._exposition.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            server = self._listen()
            if server is None:
                _log.warning("metrics_not_served", code="metrics_not_served", address=self._address)
                self._stopping.wait(RETRY_S)
                continue
            self.port = server.server_port
            _log.info("metrics_served", address=f"{server.server_name}:{server.server_port}")
            self._serve(server)

    def _serve(self, server: WSGIServer) -> None:
        serving = threading.Thread(target=server.serve_forever, name="metrics-server", daemon=True)
        serving.start()
        self._stopping.wait()
        server.shutdown()
        server.server_close()

    def _listen(self) -> WSGIServer | None:
        host, ports = addresses(self._address)
        for port in ports:
            try:
                return _Server(host, port, self._application())
            except OSError:
                continue
        return None

    def _application(self) -> WSGIApplication:
        registry = self._registry
        if registry is None and self._exposition is not None:
            registry = self._exposition.registry
        return only_metrics(make_wsgi_app(registry or CollectorRegistry()))


class _Server(ThreadingMixIn, WSGIServer):
    """Has a thread for each connection, and looks no name up when it binds."""

    daemon_threads = True

    def __init__(self, host: str, port: int, application: WSGIApplication) -> None:
        """Raises OSError when it cannot listen there."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        """Bind the port; the standard library would ask DNS for the name of the address."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has left; standard error is for log lines."""


class _Handler(WSGIRequestHandler):
    """Logs no requests: Prometheus sends one every few seconds."""

    timeout = REQUEST_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's own signature
        """Log nothing."""


def addresses(bind: str) -> tuple[str, Iterable[int]]:
    """Return the host and the ports of a setting like `127.0.0.1:9464-9495`, in the order in which they are tried."""
    host, _, ports = bind.rpartition(":")
    first, _, last = ports.partition("-")
    return host.strip("[]"), range(int(first), int(last or first) + 1)


def only_metrics(serve: WSGIApplication) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """Return an application that answers 404 to other paths, and 405 to what does not read."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"only {PATH} is here\n".encode()]
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Content-Type", "text/plain"), ("Allow", "GET, HEAD")])
            return [b"GET, HEAD\n"]
        return serve(environ, start_response)

    return application


def _source_failed(error: Exception) -> None:
    _log.error("metrics_incomplete", code="metrics_incomplete", exc_info=error)
