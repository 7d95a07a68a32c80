"""`webhookd-load-test receive` as a process with two of its own, from its first line to its last.

Oracle: its output, its exit code, and what SQLite reads from its files.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from webhookd_load_test.run_folder.paths import RunFolder

PATIENCE_S = 30.0
DELIVERY = b'{"messages":[{"topic":"t","partition":0,"offset":1,"timestamp":2,"key":null,"headers":[],"value":"v"}]}'
SECRET = "whsec_b25lb25lb25lb25lb25lb25lb25lb25l"


@contextmanager
def command(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "webhookd_load_test.main", "receive", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def answer(port: int, path: str) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("POST", path, DELIVERY)
        return connection.getresponse().status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_receives_until_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    options = ["--processes", "2", "--no-values", "--fault", "error:path=/bad", "--secret", f"/signed={SECRET}"]
    with command("--port", "0", "--folder", folder, *options) as process:
        line = first_line(process)
        port = int(line.partition("http://127.0.0.1:")[2].split()[0])
        assert line.endswith(f" with 2 processes, failing in 1 way, saving to {folder}; Ctrl-C ends it\n")
        assert [answer(port, path) for path in ("/hook", "/bad", "/signed")] == [200, 500, 401]
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert output.splitlines()[-1] == "received 3 requests, 2 of them refused, 1 records"
    saved: list[tuple[object, ...]] = []
    for file in RunFolder(folder).all_received():
        with closing(sqlite3.connect(file)) as connection:
            saved += connection.execute("SELECT path, status, value FROM requests JOIN records ON request = id")
    assert sorted(saved) == [("/bad", 500, None), ("/hook", 200, None), ("/signed", 401, None)]
    assert sorted(one.name for one in folder.iterdir()) == ["logs", "received-0.sqlite", "received-1.sqlite"]


def test_it_ends_with_an_error_when_a_process_ends(tmp_path: Path) -> None:
    (tmp_path / "received-0.sqlite").write_bytes(b"this is no database" * 100)
    with command("--port", "0", "--folder", tmp_path) as process:
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
    assert output == f"Error: cannot write {tmp_path.resolve()}/received-0.sqlite: file is not a database\n"
