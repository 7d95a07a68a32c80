"""`make service`, the processes of the Procfile in one terminal, when something is wrong.

Oracles: what it prints, its exit code, and the kernel's list of the terminal's processes. Real: every process, Kafka,
Redis, Postgres. That it works when nothing is wrong is seen in test_readme_blocks.py.
"""

import os
import re
import shlex
import socket
import sys
import uuid
from pathlib import Path

import pytest

from stack.dev_stack import environment_text
from stack.errors import NotStarted
from stack.free_ports import free_ports
from stack.procfile import refuse_taken_ports
from tests.harness.databases import new_database
from tests.harness.pages import ROOT
from tests.harness.terminal import Terminal

SERVICE = f"{shlex.quote(sys.executable)} -m stack service"


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "WEBHOOKD_API_BIND": f"127.0.0.1:{free_ports(1)[0]}",
        "WEBHOOKD_REDIS_KEY_PREFIX": f"test-{uuid.uuid4().hex}:",
    }


def test_process_that_ends_takes_the_others_along(kafka_bootstrap: str, redis_url: str, tmp_path: Path) -> None:
    with new_database("postgres", tmp_path) as database:
        settings = environment_text(kafka=kafka_bootstrap, redis=redis_url, database_url=database)
        given = environment() | {"FLOWER_PORT": "none"}  # which Flower refuses
        with Terminal(tmp_path, given) as terminal:
            code, output = terminal.run(settings + SERVICE)
            assert terminal.left_behind() == []
    assert code == 1
    assert re.search(
        r"^service      \| flower has ended with exit code \d, so the others are stopped$", output, re.MULTILINE
    )
    assert output.splitlines()[-1] == "service      | stopped"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("WEBHOOKD_API_BIND", "port {port} is taken, and API needs it; choose others: WEBHOOKD_API_BIND="),
        ("FLOWER_PORT", "port {port} is taken, and Flower needs it; choose others: WEBHOOKD_API_BIND="),
    ],
)
def test_taken_port_is_seen_before_anything_is_touched(name: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotStarted, match=said.format(port=port)):
            refuse_taken_ports({**environment(), name: f"127.0.0.1:{port}" if "BIND" in name else str(port)})


def test_failed_migration_is_one_line(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    nowhere = environment_text(
        kafka="127.0.0.1:9",
        redis="redis://127.0.0.1:9/0",
        database_url=f"postgresql+psycopg2://webhookd@127.0.0.1:{port}/webhookd",
    )
    with Terminal(tmp_path, environment()) as terminal:
        code, output = terminal.run(nowhere + SERVICE)
    assert code == 1
    assert [line.startswith("service      | webhookd migrate failed: ") for line in output.splitlines()] == [True]
