"""A whole load test against a service that runs already: it passes, it finds a loss, and Ctrl-C leaves a report.

Oracles: the exit code, result.json, and what SQLite has. Nothing is doubled.
"""

import signal
import sqlite3
import subprocess
import sys
import urllib.error
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from webhookd_load_test.run_folder import facts, result
from webhookd_load_test.run_folder.paths import RunFolder

SCENARIO = """
summary = "a test"
[load]
rows = {rows}
duration_s = {duration_s}
topics = 2
partitions = 2
[[subscriptions]]
name = "single"
faults = [{{ kind = "error", share = 0.1 }}]
[[subscriptions]]
name = "paid"
batch = 10
filters = ["status == 'paid'"]
"""
MINUTES_S = 240.0


@contextmanager
def load_test(pipeline: Pipeline, folder: Path, scenario: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, with a scenario of a name of its own, since its topics are named for it."""
    file = folder.with_name(f"{uuid.uuid4().hex}.toml")
    file.write_text(scenario, encoding="utf-8")
    command = [sys.executable, "-m", "webhookd_load_test.main", "run", str(file), "--folder", str(folder)]
    existing = ["--api", pipeline._url(""), "--bootstrap-servers", pipeline.bootstrap, "--no-headroom"]
    with subprocess.Popen(
        [*command, *existing], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def compare(folder: Path) -> int:
    command = [sys.executable, "-m", "webhookd_load_test.main", "compare", str(folder)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=PATIENCE_S).returncode


def test_load_test_passes_until_a_record_is_removed(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with load_test(pipeline, folder.path, SCENARIO.format(rows=100, duration_s=1)) as process:
        output, _ = process.communicate(timeout=MINUTES_S)
    assert process.returncode == 0, output
    found = result.read(folder.result)
    single, paid = found.subscriptions
    assert (single.expected, single.delivered, single.lost, single.disorders) == (100, 100, 0, 0)
    assert 0 < paid.expected == paid.delivered < 100
    assert folder.report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    for one in facts.read(folder.facts).subscriptions:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            pipeline.ask("GET", f"/1/Subscription/{one.id}")
    with closing(sqlite3.connect(folder.received(0))) as connection, connection:
        connection.execute("DELETE FROM records WHERE number = 50")
    assert compare(folder.path) == 1


def test_interrupted_load_test_leaves_a_report(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with load_test(pipeline, folder.path, SCENARIO.format(rows=36_000, duration_s=3600)) as process:
        until(lambda: received(folder) > 0, "a record arrives", MINUTES_S)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=MINUTES_S)
    assert process.returncode == 128 + signal.SIGINT, output
    assert (facts.read(folder.facts).complete, result.read(folder.result).passed) == (False, False)
    assert "partial" in folder.report.read_text(encoding="utf-8").lower()


def received(folder: RunFolder) -> int:
    """How many records SQLite has; 0 before the file has its tables."""
    try:
        with closing(sqlite3.connect(f"file:{folder.received(0)}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
