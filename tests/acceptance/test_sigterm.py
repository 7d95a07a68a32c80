"""SIGTERM ends every process in time, whatever the services do meanwhile, as "Stop" in docs/how-to/deploy.md says.

Rows: the commands. Columns: what Kafka, Redis and the database do. Oracles: exit codes, and the time from the signal to
the exit. Real: every process and service; a frozen service is a relay that passes nothing on, a silent one accepts
connections and never answers. All processes run at the same time, once for the whole table.
"""

import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis import Redis

from stack.free_ports import free_ports
from tests.harness.command_process import CommandProcess
from tests.harness.databases import new_database
from tests.harness.pipeline import until
from tests.harness.relay import Relay
from tests.harness.silent_server import SilentServer
from webhookd import clock

STOP_BUDGET_S = 1.0
AFTER_BUDGET_S = 15.0
"""What supervisors are told to wait after the stop budget."""

END_S = {"api": 20.0, "ingest": STOP_BUDGET_S + AFTER_BUDGET_S, "worker": STOP_BUDGET_S + AFTER_BUDGET_S, "flower": 2.0}
"""By process that runs until it is stopped: how long it may take to end."""

STARTED = {
    "api": "Booting worker",
    "ingest": '"ingest_started"',
    "worker": '"settings"',
    "flower": '"flower_ready"',
}
"""What each has logged when it runs, even without the services; a worker logs nothing more before it reaches Redis."""

COLUMNS = ("working", "absent", "silent", "frozen")

COMMANDS = {
    "run": ("run", "--topic", "orders", "--url", "http://127.0.0.1:9/", "--allow", "127.0.0.0/8"),
    "receive": ("receive", "--port", "0"),
    "migrate": ("migrate",),
}
"""Commands that get the signal while Kafka and the database are silent, at any moment after their start."""

EXIT_CODES = {"migrate": -signal.SIGTERM, "run": 0, "receive": 0}
"""A command that has not done what it was told to ends by the signal itself, which shells show as 143."""

COMMAND_END_S = 10.0
"""`run` lets its question to Kafka end, which takes at most 5 s."""


@dataclass
class Services:
    """The addresses of the services."""

    kafka: str
    redis: str
    database: str

    def environment(self) -> dict[str, str]:
        """The settings of one process."""
        api, flower = free_ports(2)
        return {
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "WEBHOOKD_REDIS_URL": self.redis,
            "WEBHOOKD_REDIS_KEY_PREFIX": f"sigterm-{uuid.uuid4().hex}:",
            "WEBHOOKD_DATABASE_URL": self.database,
            "WEBHOOKD_STOP_BUDGET_S": str(STOP_BUDGET_S),
            "WEBHOOKD_LOG_FORMAT": "json",
            "WEBHOOKD_API_BIND": f"127.0.0.1:{api}",
            "FLOWER_PORT": str(flower),
        }


@dataclass
class End:
    """How a process ended."""

    code: int
    after_s: float


class Table:
    """All processes of the table, and how they end."""

    def __init__(self) -> None:
        self.running: dict[tuple[str, str], CommandProcess] = {}
        self.ends: dict[tuple[str, str], End] = {}

    def send_term(self) -> None:
        """Send SIGTERM to all of them, and wait for their ends."""
        sent_at = {}
        # The last one first: `migrate` gives up after 4 s.
        for cell, process in reversed(self.running.items()):
            sent_at[cell] = clock.monotonic()
            process.send(signal.SIGTERM)
        until(lambda: self._all_ended(sent_at), "every process has ended", 90.0)

    def _all_ended(self, sent_at: dict[tuple[str, str], float]) -> bool:
        for cell in self.running.keys() - self.ends.keys():
            code = self.running[cell].exit_code
            if code is not None:
                self.ends[cell] = End(code, clock.monotonic() - sent_at[cell])
        return self.running.keys() == self.ends.keys()


@pytest.fixture(scope="module")
def ends(
    kafka_bootstrap: str, redis_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], End]]:
    """How each process ended, by column and command."""
    table = Table()
    folder = tmp_path_factory.mktemp("sigterm")
    redis_port, database_port = free_ports(2)
    with ExitStack() as exits:
        database = exits.enter_context(new_database("postgres", folder, tables=True))
        redis = exits.enter_context(Relay(redis_port, _port(redis_url)))
        postgres = exits.enter_context(Relay(database_port, _port(database)))
        silent = exits.enter_context(SilentServer()).port
        absent = free_ports(1)[0]
        columns = {
            "working": Services(kafka_bootstrap, redis_url, database),
            "absent": Services(f"127.0.0.1:{absent}", _at(redis_url, absent), _at(postgres_url, absent)),
            "silent": Services(f"127.0.0.1:{silent}", _at(redis_url, silent), _at(postgres_url, silent)),
            "frozen": Services(kafka_bootstrap, _at(redis_url, redis_port), _at(database, database_port)),
        }
        prefixes = {}
        for column, services in columns.items():
            for name in END_S:
                environment = services.environment()
                prefixes[column, name] = environment["WEBHOOKD_REDIS_KEY_PREFIX"]
                table.running[column, name] = exits.enter_context(CommandProcess(name, environment=environment))
        more = {"run": ("--bootstrap-servers", f"127.0.0.1:{silent}", "--state", str(folder / "state"))}
        for (_, name), process in table.running.items():
            process.wait_for(STARTED[name])
        _wait_for_worker(redis_url, prefixes["working", "worker"])
        _wait_for_worker(redis_url, prefixes["frozen", "worker"])
        redis.freeze()
        postgres.freeze()
        unanswered = exits.enter_context(SilentServer())
        for name, line in COMMANDS.items():
            environment = columns["silent"].environment()
            if name == "migrate":
                environment |= {"WEBHOOKD_DATABASE_URL": _at(postgres_url, unanswered.port)}
            process = CommandProcess(*line, *more.get(name, ()), environment=environment)
            table.running["silent", name] = exits.enter_context(process)
        unanswered.wait_for_client()
        table.send_term()
        yield table.ends


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", END_S)
def test_term_ends_a_process_in_time_with_0(ends: dict[tuple[str, str], End], name: str, column: str) -> None:
    end = ends[column, name]
    assert (end.code, end.after_s < END_S[name]) == (0, True), end


@pytest.mark.parametrize("name", COMMANDS)
def test_term_ends_a_command_that_waits(ends: dict[tuple[str, str], End], name: str) -> None:
    end = ends["silent", name]
    assert (end.code, end.after_s < COMMAND_END_S) == (EXIT_CODES[name], True), end


def _wait_for_worker(redis_url: str, prefix: str) -> None:
    with Redis.from_url(redis_url) as redis:
        until(lambda: bool(redis.hlen(f"{prefix}workers")), "the worker has a heartbeat")


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _at(url: str, port: int) -> str:
    """The URL with another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))
