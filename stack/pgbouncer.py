"""A temporary PgBouncer in transaction mode in front of a Postgres; all other options have their defaults."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from stack import install
from stack.child import Child, spawn
from stack.postgres import ROLE, unprivileged_user
from stack.waiting import until_ready

READY_TIMEOUT_S = 20.0

CONFIGURATION = """\
[databases]
* = host={host} port={server_port}

[pgbouncer]
pool_mode = transaction
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users.txt
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PgBouncer:
    """A started PgBouncer. `address` is the URL of the same database as Postgres' own address, through it."""

    address: str
    port: int
    child: Child

    def through(self, postgres_url: str) -> str:
        """The URL of a database of the same Postgres, through this PgBouncer."""
        return make_url(postgres_url).set(port=self.port).render_as_string(hide_password=False)

    def wait_ready(self) -> None:
        """Block until it answers a query."""
        until_ready("pgbouncer", self._answers, [self.child], READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it without waiting for its clients."""
        self.child.stop()

    def _answers(self) -> bool:
        try:
            with create_engine(self.address, poolclass=NullPool).connect() as connection:
                return connection.execute(text("SELECT 1")).scalar() == 1
        except OperationalError:
            return False


def start(directory: Path, port: int, postgres: str) -> PgBouncer:
    """Start a PgBouncer in front of the Postgres with this URL; does not wait for it."""
    program = install.require(install.PGBOUNCER)
    server = make_url(postgres)
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(host=server.host, server_port=server.port, port=port, directory=directory),
        encoding="utf-8",
    )
    (directory / "users.txt").write_text(f'"{server.username or ROLE}" ""\n', encoding="utf-8")
    user = unprivileged_user()
    if user:
        shutil.chown(directory, user)
    child = spawn(
        [program, configuration],
        log_file=directory / "pgbouncer.log",
        user=user,
        stop_signal=signal.SIGTERM,  # ends at once; SIGINT waits for the clients
    )
    return PgBouncer(address=server.set(port=port).render_as_string(hide_password=False), port=port, child=child)
