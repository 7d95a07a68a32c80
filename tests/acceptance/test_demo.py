"""`webhookd demo` as a user starts it.

Oracles: the table that it prints, its exit code, the kernel's list of processes and its temporary directory. Everything
is real except Kafka, for which the demo uses a mock cluster.
"""

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness.command_process import ROOT, CommandProcess
from tests.harness.pipeline import until

NAMES = ("everything", "filtered", "batches of 100")
NOT_LINUX = ROOT / "tests" / "harness" / "not_linux"
COLUMNS = ("records in", "requests out", "delivered", "filtered", "lost", "duplicates", "p50", "p99")


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    return {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def rows_of(output: str) -> dict[str, dict[str, int]]:
    """The table's rows by the name of the subscription."""
    table = output[output.index("records in") :]
    lines = {name: line for name in NAMES for line in table.splitlines() if line.strip().startswith(name + " ")}
    return {name: dict(zip(COLUMNS, numbers(line.split(name)[1]), strict=True)) for name, line in lines.items()}


def numbers(text: str) -> list[int]:
    return [int(word.replace(",", "")) for word in text.split()]


def test_demo_delivers_everything_and_cleans_up(environment: Mapping[str, str], tmp_path: Path) -> None:
    with CommandProcess("demo", "--seconds", "2", environment=environment) as demo:
        assert demo.wait() == 0, demo.output
        rows = rows_of(demo.output)
        assert demo.left_behind() == []

    assert set(rows) == set(NAMES)
    for row in rows.values():
        assert row["lost"] == 0
        assert row["delivered"] + row["filtered"] == row["records in"] > 1000
    assert rows["everything"]["requests out"] == rows["everything"]["delivered"] + rows["everything"]["duplicates"]
    assert 0 < rows["filtered"]["delivered"] < rows["filtered"]["filtered"]
    assert rows["batches of 100"]["requests out"] < rows["batches of 100"]["delivered"] / 20
    # Usually it is below 100 ms (see the README). A component that polls once a second would exceed this anywhere.
    assert rows["everything"]["p50"] < 1000
    assert list(tmp_path.iterdir()) == []


def test_demo_needs_nothing_that_only_linux_has(environment: Mapping[str, str]) -> None:
    with CommandProcess("demo", "--seconds", "0.5", environment={**environment, "PYTHONPATH": str(NOT_LINUX)}) as demo:
        assert demo.wait() == 0, demo.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_ends_the_demo_cleanly(number: signal.Signals, environment: Mapping[str, str], tmp_path: Path) -> None:
    with CommandProcess("demo", "--seconds", "60", environment=environment) as demo:
        demo.wait_for("first delivery")
        assert demo.interrupt(number) == 128 + number
        assert "Traceback" not in demo.output
        assert demo.left_behind() == []
    assert list(tmp_path.iterdir()) == []


def test_interrupt_while_importing_is_quiet(environment: Mapping[str, str], tmp_path: Path) -> None:
    with CommandProcess("demo", environment=environment, python=("-X", "importtime")) as demo:
        demo.wait_for("| celery.")
        assert demo.interrupt() == 128 + signal.SIGINT
        assert "Traceback" not in demo.output
    assert list(tmp_path.iterdir()) == []


def test_interrupt_while_starting_is_clean(environment: Mapping[str, str], tmp_path: Path) -> None:
    with CommandProcess("demo", environment=environment) as demo:
        until(lambda: list(tmp_path.rglob("webhookd.db")) != [], "the database is being made")
        assert demo.interrupt() == 128 + signal.SIGINT
        assert "Traceback" not in demo.output
        assert demo.left_behind() == []
    assert list(tmp_path.iterdir()) == []
