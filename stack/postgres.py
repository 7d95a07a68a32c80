"""A temporary Postgres: fast, not durable, never as root."""

import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from stack import install
from stack.child import Child, spawn
from stack.waiting import until_ready

READY_TIMEOUT_S = 30.0
ROLE = "webhookd"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
"""A crash of the machine may lose this database; it is temporary anyway."""


class PostgresServer:
    """A started Postgres, which may be stopped and started again. `address` is its superuser's URL."""

    def __init__(self, address: str, launch: Callable[[], Child]) -> None:
        self.address = address
        self._launch = launch
        self.child = launch()

    def wait_ready(self) -> None:
        """Block until it answers a query."""
        until_ready("postgres", self._answers, [self.child], READY_TIMEOUT_S)

    def create_database(self, name: str) -> str:
        """Create a database; returns its URL."""
        return create_database(self.address, name)

    def stop(self) -> None:
        """Stop it without waiting for its clients."""
        self.child.stop()

    def start_again(self) -> None:
        """Start it again with its data and port after `stop`; does not wait for it."""
        self.child = self._launch()

    def _answers(self) -> bool:
        try:
            with create_engine(self.address, poolclass=NullPool).connect() as connection:
                return connection.execute(text("SELECT 1")).scalar() == 1
        except OperationalError:
            return False


def create_database(address: str, name: str) -> str:
    """Create a database on the server with this superuser's URL; returns the database's URL."""
    _administrate(address, f'CREATE DATABASE "{name}"')
    return address.rpartition("/")[0] + f"/{name}"


def drop_database(address: str, name: str) -> None:
    """Remove a database; closes open connections to it."""
    _administrate(address, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administrate(address: str, statement: str) -> None:
    with create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(statement))


def start(directory: Path, port: int) -> PostgresServer:
    """Create a database cluster in the directory and start it, without passwords."""
    initdb = install.require(install.INITDB).resolve()
    user = unprivileged_user()
    if user:
        shutil.chown(directory, user)
    data = directory / "data"
    _initialise(initdb, data, user)
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command: list[str | Path] = [initdb.with_name("postgres"), "-D", data, "-p", str(port), *settings]

    def launch() -> Child:
        return spawn(
            command,
            log_file=directory / "postgres.log",
            user=user,
            stop_signal=signal.SIGINT,
            parent_death_signal=signal.SIGQUIT,
        )

    return PostgresServer(f"postgresql+psycopg2://{ROLE}@127.0.0.1:{port}/postgres", launch)


def unprivileged_user() -> str:
    """The user to run a server as; empty for the current one. Both servers refuse root: then `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _initialise(initdb: Path, data: Path, user: str) -> None:
    command: list[str | Path] = [initdb, "-D", data, "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    spawn(command, log_file=data.with_name("initdb.log"), user=user).must_succeed("initdb")
