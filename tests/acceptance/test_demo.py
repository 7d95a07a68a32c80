"""`webhookd demo` as a user starts it.

Oracles: the table that it prints, its exit code, the kernel's list of processes and its temporary directory. Everything
is real except Kafka, for which the demo uses a mock cluster.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer

import pytest

from tests.harness.command_process import PATIENCE_S, ROOT, CommandProcess
from tests.harness.pipeline import until

NAMES = ("everything", "filtered", "batches of 100")
NOT_LINUX = ROOT / "tests" / "harness" / "not_linux"
COLUMNS = ("orders", "requests", "delivered", "filtered", "lost", "repeated", "p50", "p99")


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    return {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def rows_of(output: str) -> dict[str, dict[str, int]]:
    """The table's rows by the name of the subscription."""
    table = output[output.rindex("p99 ms") :]
    lines = {name: line for name in NAMES for line in table.splitlines() if line.strip().startswith(name + " ")}
    return {name: dict(zip(COLUMNS, numbers(line.split(name)[1]), strict=True)) for name, line in lines.items()}


def numbers(text: str) -> list[int]:
    return [0 if word == "–" else int(word.replace(",", "")) for word in text.split()]


def test_demo_delivers_everything_and_cleans_up(environment: Mapping[str, str], tmp_path: Path) -> None:
    with CommandProcess("demo", "--seconds", "2", environment=environment) as demo:
        assert demo.wait() == 0, demo.output
        output = demo.output
        rows = rows_of(output)
        assert demo.left_behind() == []

    assert set(rows) == set(NAMES)
    for row in rows.values():
        assert row["lost"] == 0
        assert row["delivered"] + row["filtered"] == row["orders"] > 1000
    assert rows["everything"]["requests"] == rows["everything"]["delivered"] + rows["everything"]["repeated"]
    assert 0 < rows["filtered"]["delivered"] < rows["filtered"]["filtered"]
    assert rows["batches of 100"]["requests"] < rows["batches of 100"]["delivered"] / 20
    # Usually it is below 100 ms (see the README). A component that polls once a second would exceed this anywhere.
    assert rows["everything"]["p50"] < 1000
    assert list(tmp_path.iterdir()) == []
    assert_shows_the_way_of_an_order(output)
    assert_shows_a_fault_and_its_end(output)


def assert_shows_the_way_of_an_order(output: str) -> None:
    order = output.split("An order in the topic “orders”:\n  ")[1].splitlines()[0]
    assert json.loads(order)["country"] == "DE"
    request = output.split("Its endpoint has received")[1].split("Its status", maxsplit=1)[0]
    assert "POST /filtered HTTP/1.1\n" in request
    assert "  X-Api-Key: secret\n" in request
    _, body = request.split("\n\n")
    assert json.loads(body)["messages"][0]["value"] == json.loads(order)
    assert re.search(r"^  curl -sS http://127\.0\.0\.1:\d+/1/Subscription/[0-9a-f-]{36}/Status$", output, re.MULTILINE)
    assert "Next steps:" in output


def assert_shows_a_fault_and_its_end(output: str) -> None:
    fault = output.split("answers 500 for 2 s")[1]
    failing = fault.index("failing, attempt 1 of 6 got 500")
    assert failing < fault.index("the endpoint answers again") < fault.index("recovered: the ")


def test_demo_needs_nothing_that_only_linux_has(environment: Mapping[str, str]) -> None:
    with CommandProcess("demo", "--seconds", "0.5", environment={**environment, "PYTHONPATH": str(NOT_LINUX)}) as demo:
        assert demo.wait() == 0, demo.output


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGTERM, "Its endpoint has received"), (signal.SIGHUP, "answers 500 for")],
    ids=["SIGTERM at the start", "SIGHUP in the fault"],
)
def test_signal_ends_the_demo_with_its_table(
    number: signal.Signals, at: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    with CommandProcess("demo", "--seconds", "1", environment=environment) as demo:
        demo.wait_for(at)
        assert demo.interrupt(number) == 128 + number
        assert set(rows_of(demo.output)) == set(NAMES)
        assert "interrupted; " in demo.output
        assert "Traceback" not in demo.output
        assert demo.left_behind() == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_make_without_an_error_line(environment: Mapping[str, str]) -> None:
    made = subprocess.Popen(
        ["make", "demo", "SECONDS=60"],  # noqa: S607 - whichever make the reader has
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1", "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert made.stdout is not None
    give_up = Timer(PATIENCE_S, os.killpg, (made.pid, signal.SIGKILL))  # it ends the reads below
    give_up.start()
    with made.stdout as screen:
        assert any("Now 1,000 orders a second" in line for line in screen)
        os.killpg(made.pid, signal.SIGINT)
        rest = screen.read()
    # A shell shows the end by this signal as exit code 130.
    assert made.wait(PATIENCE_S) == -signal.SIGINT, rest
    give_up.cancel()
    assert "interrupted; " in rest
    assert "make:" not in rest


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
