"""Keys in real processes of the API: a revocation is seen by all of them, and no key is in their logs.

Real: two `gunicorn` servers on one SQLite file, with one worker process each so that both are asked for sure.
"""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from stack.free_ports import free_ports
from tests.harness.api_callers import made_key
from tests.harness.pipeline import until
from webhookd.flow.access.caller import Role
from webhookd.store.database import Database
from webhookd.store.key_changes import NewKey

WAIT_S = 30.0
PATH = "/1/Subscription"
IN_A_HEADER = "marker-of-a-header-value"
SERVE = """
import sys
from api import server
from webhookd import logs
from webhookd.settings import Settings
server.WORKERS = 1
logs.configure_process("json", "debug")
server.serve(Settings(database_url=sys.argv[1], api_bind=sys.argv[2], redis_url="memory://",
                      kafka_bootstrap_servers="127.0.0.1:1", kafka_ask_timeout_s=0.2))
"""


class Server:
    """One running server; its log is a file."""

    def __init__(self, url: str, log: Path) -> None:
        (self.port,) = free_ports(1)
        self._log = log
        with log.open("w") as stream:
            self._process = subprocess.Popen(  # this interpreter, running the lines above
                [sys.executable, "-c", SERVE, url, f"127.0.0.1:{self.port}"],
                stderr=stream,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def wait_started(self) -> None:
        """Wait until its worker process runs; connections wait in the backlog from then on."""
        until(lambda: "Booting worker" in self.log, "a worker process runs")

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def ask(self, method: str, path: str, key: str) -> int:
        """Return the status of one request, over a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)) as connection:
            connection.request(method, path, headers={"Authorization": f"Bearer {key}", "X-Other": IN_A_HEADER})
            return connection.getresponse().status

    def end(self) -> None:
        """End it and its worker process at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WAIT_S)


@pytest.fixture
def servers(migrated_url: str, tmp_path: Path) -> Iterator[list[Server]]:
    with ExitStack() as exits:
        started = [Server(migrated_url, tmp_path / f"{name}.log") for name in ("one", "other")]
        for server in started:
            exits.callback(server.end)
        for server in started:
            server.wait_started()
        yield started


def test_a_revoked_key_stops_in_every_process(servers: list[Server], database: Database) -> None:
    admin = made_key(database, NewKey(name="operations", role=Role.ADMIN)).token
    client = made_key(database, NewKey(name="acme", role=Role.CLIENT, tenant="acme")).token
    for server in servers:
        assert server.ask("GET", PATH, client.text) == 200
    assert servers[0].ask("DELETE", f"/1/Key/{client.public}", admin.text) == 204
    for server in servers:
        assert server.ask("GET", PATH, client.text) == 401
        assert server.ask("GET", f"{PATH}?key={client.text}", "no key") == 401
    logged = "".join(server.log for server in servers)
    assert "key_revoked" in logged
    assert [text for text in (client.secret, admin.secret, IN_A_HEADER) if text in logged] == []
