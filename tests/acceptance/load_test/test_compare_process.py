"""`webhookd-load-test compare` as a process: its exit codes, and its end by a signal.

Oracle: exit codes and files. Nothing is doubled; a named pipe in the place of the CSV file holds the process where the
signal reaches it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.load_test.run_files import good_run
from webhookd_load_test.run_folder import result as result_file
from webhookd_load_test.run_folder.paths import RunFolder

DEADLINE_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return good_run().write(tmp_path / "run")


def command(folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "webhookd_load_test.main", "compare", str(folder.path)]


def test_exit_code_says_whether_the_run_has_passed(folder: RunFolder) -> None:
    passed = subprocess.run(command(folder), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (passed.returncode, passed.stderr) == (0, "")
    assert result_file.read(folder.result).passed
    folder.received(0).unlink()
    unusable = subprocess.run(command(folder), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (unusable.returncode, unusable.stderr) == (2, f"{folder.path}: received-0.sqlite: no such file\n")


@pytest.fixture
def held(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """A comparison that waits for the rest of the CSV file."""
    text = folder.records.read_bytes()
    folder.records.unlink()
    os.mkfifo(folder.records)
    process = subprocess.Popen(command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with folder.records.open("wb", buffering=0) as pipe:  # opens when the process reads
        pipe.write(text[:200])
        yield process
    process.kill()
    process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_comparison_without_a_result(
    held: subprocess.Popen[str], folder: RunFolder, number: signal.Signals
) -> None:
    held.send_signal(number)
    assert held.communicate(timeout=DEADLINE_S) == ("", "")
    assert held.returncode == 128 + number
    assert not folder.result.exists()
