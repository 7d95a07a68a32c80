"""A `webhookd api` as its operators see it: its port, its worker processes, and its metrics."""

import http.client
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from api.metrics_directory import PREFIX
from api.server import heartbeat_directory
from stack.free_ports import free_ports
from tests.harness.command_process import PATIENCE_S, CommandProcess
from tests.harness.metrics import Scrape, addresses_served, scrape_address
from tests.harness.pipeline import until


class MeasuredApi:
    """A running API."""

    def __init__(self, process: CommandProcess, port: int) -> None:
        self.process = process
        self._port = port

    def ask(self, path: str = "/1/Subscription", method: str = "GET") -> int:
        """Send a request on a connection of its own; returns the status."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path)
            return connection.getresponse().status

    def send(self, data: bytes) -> bytes:
        """Send bytes; returns the beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as client:
            client.sendall(data)
            return client.recv(4096)

    @property
    def workers(self) -> list[int]:
        """The ids of all worker processes so far, in the order of their starts."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.process.output)]

    @property
    def addresses(self) -> list[str]:
        """The address of the metrics, once for each worker process that has begun to serve them."""
        return addresses_served(self.process.output)

    def directories(self) -> list[Path]:
        """The directories with its metrics, among those of all APIs of this machine."""
        ids = Path(heartbeat_directory()).glob(f"{PREFIX}*/*.pid")
        return sorted({file.parent for file in ids if _id_in(file) in self.workers})

    def directory(self) -> Path:
        """The directory with its metrics."""
        [found] = self.directories()
        return found

    def until_served(self, times: int = 1) -> None:
        """Wait until so many worker processes have begun to serve the metrics."""
        until(lambda: len(self.addresses) >= times, "metrics are served")

    def scrape(self) -> Scrape:
        """Ask the worker process that serves the metrics for them."""
        return scrape_address(self.addresses[-1])

    @contextmanager
    def frozen(self, pid: int) -> Iterator[None]:
        """A worker process takes no requests."""
        os.kill(pid, signal.SIGSTOP)
        until(lambda: _state(pid) == "T", f"{pid} has stopped")
        yield
        os.kill(pid, signal.SIGCONT)


@contextmanager
def measured_api(database_url: str, **settings: str) -> Iterator[MeasuredApi]:
    """Run it without Kafka and Redis; at the end it must stop by itself."""
    [port] = free_ports(1)
    environment = {
        "WEBHOOKD_DATABASE_URL": database_url,
        "WEBHOOKD_API_BIND": f"127.0.0.1:{port}",
        "WEBHOOKD_API_AUTH": "none",
        "WEBHOOKD_REDIS_URL": "memory://",
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "WEBHOOKD_KAFKA_ASK_TIMEOUT_S": "0.2",
        "WEBHOOKD_METRICS_BIND": "127.0.0.1:0",
        "WEBHOOKD_LOG_FORMAT": "json",
    }
    with CommandProcess("api", environment=environment | settings) as process:
        process.wait_for('"api_ready"')
        yield MeasuredApi(process, port)
        if process.exit_code is None:
            assert process.interrupt(signal.SIGTERM) == 0


def _id_in(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):  # another API of this machine has just ended or begun
        return 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
