"""Serves the metrics of a process to Prometheus: `GET /metrics`, as Prometheus text or OpenMetrics.

It listens on the first free port of WEBHOOKD_METRICS_BIND. Where none is free, the process works without, says so in
the log, and tries again: nothing that delivers may depend on who watches it.
"""

import platform
import socket
import threading
from collections.abc import Iterable
from selectors import EVENT_READ, DefaultSelector
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry

from webhookd import __version__, logs
from webhookd.metrics.catalogue.services import BUILD_INFO
from webhookd.metrics.declaration import Process
from webhookd.metrics.exposition import Exposition, SampleSources
from webhookd.metrics.scrape_application import scrape_application
from webhookd.metrics.scrape_server import ScrapeLimits, ScrapeServer
from webhookd.settings import Settings

RETRY_S = 10.0
"""How often a port is tried for when none was free."""

STOP_S = 1.0

LIMITS = ScrapeLimits()

_log = logs.get(__name__)


class MetricsServer:
    """Serves the metrics of this process from `start` to `stop`; without WEBHOOKD_METRICS_BIND it does nothing.

    `registry` is what is served in place of the process's own metrics: the API has several worker processes. `listener`
    listens already, and stays open for others at the end. `retry_s` is the time between two tries for a port.
    `limits` are what clients may take.
    """

    def __init__(
        self,
        settings: Settings,
        processes: frozenset[Process],
        *,
        registry: CollectorRegistry | None = None,
        listener: socket.socket | None = None,
        retry_s: float = RETRY_S,
        limits: ScrapeLimits = LIMITS,
    ) -> None:
        self._address = settings.metrics_bind
        self._exposition = Exposition(processes, _log_incomplete) if self._address else None
        self._registry = registry
        self._listener = listener
        self._retry_s = retry_s
        self._limits = limits
        self._processes = processes
        self._thread: threading.Thread | None = None
        self._stopper: socket.socket | None = None
        self.port = 0
        """The port that it listens on; 0 while it listens on none."""
        self.listening = threading.Event()
        """Set when it has begun to listen; for tests."""

    @property
    def sources(self) -> SampleSources | None:
        """Where the parts of the process add their sources; None while metrics are off, so that they count nothing."""
        return self._exposition

    def start(self) -> None:
        """Start the thread; returns at once."""
        if self._exposition is not None:
            for process in self._processes:
                BUILD_INFO.set(1, __version__, process, platform.python_version())
            application = scrape_application(self._registry or self._exposition.registry, _log_incomplete)
            self._stopper, stopping = socket.socketpair()
            self._thread = threading.Thread(target=self._run, args=(application, stopping), name="metrics", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._stopper is not None and self._thread is not None:
            self._stopper.close()
            self._thread.join(STOP_S)
        if self._exposition is not None:
            self._exposition.close()

    def _run(self, application: WSGIApplication, stopping: socket.socket) -> None:
        with stopping, DefaultSelector() as selector:
            selector.register(stopping, EVENT_READ)
            while (listener := self._listener or listen(self._address)) is None:
                _log.warning("metrics_not_served", code="metrics_not_served", address=self._address)
                if selector.select(self._retry_s):
                    return
            with ScrapeServer(listener, application, self._limits) as server:
                self._serve(server, selector)

    def _serve(self, server: ScrapeServer, selector: DefaultSelector) -> None:
        self.port = server.server_port
        _log.info("metrics_served", address=_shown(server.server_name, server.server_port))
        self.listening.set()
        server.serve(selector)


def listen(bind: str) -> socket.socket | None:
    """Listen on the first free port of a setting like `127.0.0.1:9464-9495`; None when there is none.

    Another process that gets the socket by a fork may serve it as well.
    """
    host, ports = host_and_ports(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        try:
            return socket.create_server((host, port), family=family)
        except OSError:
            continue
    return None


def host_and_ports(bind: str) -> tuple[str, Iterable[int]]:
    """Return the host and the ports of a setting like `127.0.0.1:9464-9495`, in the order in which they are tried."""
    host, _, ports = bind.rpartition(":")
    first, _, last = ports.partition("-")
    return host.strip("[]"), range(int(first), int(last or first) + 1)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _log_incomplete(error: Exception) -> None:
    _log.error("metrics_incomplete", code="metrics_incomplete", exc_info=error)
