"""Processes on a database without tables: each says in one line what to do, and ends with exit code 1.

Oracles: output and exit code of real processes. Kafka and Redis are absent, the database is SQLite in a file. The
database is absent too as long as its folder is.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stack.free_ports import free_ports
from tests.harness.command_process import CommandProcess
from webhookd.store.schema import REVISION

COMMANDS = ("api", "ingest", "worker")
SAYS = f"the database has no tables of webhookd (revision {REVISION} is needed); run: webhookd migrate"


def environment(folder: Path) -> dict[str, str]:
    return {
        "WEBHOOKD_DATABASE_URL": f"sqlite:///{folder}/webhookd.db",
        "WEBHOOKD_REDIS_URL": "memory://",
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "WEBHOOKD_KAFKA_ASK_TIMEOUT_S": "0.2",
        "WEBHOOKD_API_BIND": f"127.0.0.1:{free_ports(1)[0]}",
        "WEBHOOKD_LOG_FORMAT": "json",
        "WEBHOOKD_STOP_BUDGET_S": "1",
    }


@contextmanager
def started(folder: Path) -> Iterator[dict[str, CommandProcess]]:
    """All processes of the service at the same time."""
    with ExitStack() as exits:
        given = environment(folder)
        yield {name: exits.enter_context(CommandProcess(name, environment=given)) for name in COMMANDS}


def errors(process: CommandProcess) -> list[str]:
    """What it says at the level of errors; each line of its output is a JSON object."""
    lines = [json.loads(line) for line in process.output.splitlines()]
    return [line.get("detail", str(line)) for line in lines if line["level"] == "error"]


def test_processes_refuse_a_database_without_tables(tmp_path: Path) -> None:
    with started(tmp_path) as processes:
        assert {name: process.wait() for name, process in processes.items()} == dict.fromkeys(COMMANDS, 1)
        assert {name: errors(process) for name, process in processes.items()} == {name: [SAYS] for name in COMMANDS}


def test_processes_refuse_a_database_without_tables_that_arrives_later(tmp_path: Path) -> None:
    with started(tmp_path / "later") as processes:
        processes["api"].wait_for("cluster_unconfirmed")
        processes["ingest"].wait_for("store_unavailable")
        (tmp_path / "later").mkdir()
        assert {name: process.wait() for name, process in processes.items()} == dict.fromkeys(COMMANDS, 1)
        assert {name: errors(process) for name, process in processes.items()} == {name: [SAYS] for name in COMMANDS}


def test_migrate_says_what_it_did_and_what_it_cannot_do(tmp_path: Path) -> None:
    given = environment(tmp_path)
    with CommandProcess("migrate", environment=given) as first:
        assert first.wait() == 0
        assert first.output.splitlines()[-1] == f"created the tables, revision {REVISION}"
    absent = {**given, "WEBHOOKD_DATABASE_URL": "postgres://u:s3cr3t@127.0.0.1:1/d"}
    with (
        CommandProcess("migrate", environment=given) as second,
        CommandProcess("migrate", environment=absent) as failed,
    ):
        assert second.wait() == 0
        assert second.output.splitlines()[-1] == f"the database is at {REVISION} already"
        assert failed.wait() == 1
        assert (
            "the database in WEBHOOKD_DATABASE_URL cannot be migrated: 127.0.0.1:1: Connection refused"
            in failed.output.splitlines()[-1]
        )
        assert "s3cr3t" not in failed.output
        assert "Traceback" not in failed.output
