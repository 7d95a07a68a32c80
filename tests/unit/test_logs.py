"""The format of a process's lines: webhookd's, those of libraries, and what never went through a log.

Each runs in a process of its own, since the format is set once for a process. A pseudo-terminal is a terminal.
"""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

PROCESS = """
import logging, sys, threading, warnings
import click
from webhookd import logs
logs.configure_process(sys.argv[1], sys.argv[2])
logs.get("own").info("ingest_started", member="a1")
logging.getLogger("gunicorn.error").setLevel(logging.INFO)
logging.getLogger("gunicorn.error").info("Listening")
logging.getLogger("celery").warning("Cannot\\nconnect")
warnings.warn("old")
print("printed")
click.echo("refused", err=True)
print("on standard output", file=sys.__stdout__)
thread = threading.Thread(target=lambda: 1 / 0, name="t")
thread.start()
thread.join()
raise RuntimeError("at the end")
"""


def run(log_format: str, level: str = "info", **environment: str) -> tuple[int, str]:
    """Run the process with its output in a pipe; returns exit code and output."""
    ran = subprocess.run(
        [sys.executable, "-c", PROCESS, log_format, level],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return ran.returncode, ran.stdout


def run_on_terminal(log_format: str, **environment: str) -> str:
    """Run the process on a pseudo-terminal; returns what is on the screen."""
    own_end, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, log_format, "info"],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", **environment},
    ):
        os.close(terminal)
        shown = b""
        while part := _read(own_end):
            shown += part
    os.close(own_end)
    return shown.decode()


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except OSError:  # Linux' answer when nothing has the terminal open any more
        return b""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    code, output = run("auto")
    assert code == 1
    return [json.loads(line) for line in output.splitlines()]


def test_every_line_in_a_pipe_is_json_with_event_level_and_time(lines: list[dict[str, Any]]) -> None:
    assert [line for line in lines if not {"event", "level", "timestamp"} <= line.keys()] == []


def test_each_source_has_its_line(lines: list[dict[str, Any]]) -> None:
    assert [(line["event"], line["level"], line.get("text", line.get("logger"))) for line in lines] == [
        ("ingest_started", "info", None),
        ("Listening", "info", "gunicorn.error"),
        ("Cannot connect", "warning", "celery"),
        ("UserWarning: old", "warning", "py.warnings"),
        ("output", "warning", "printed"),
        ("output", "error", "refused"),
        ("output", "warning", "on standard output"),
        ("unhandled_error", "error", None),
        ("unhandled_error", "error", None),
    ]


def test_error_that_nothing_catches_has_its_traceback_in_its_line(lines: list[dict[str, Any]]) -> None:
    in_thread, at_the_end = lines[-2:]
    assert (in_thread["thread"], "ZeroDivisionError" in in_thread["exception"]) == ("t", True)
    assert at_the_end["exception"].endswith("RuntimeError: at the end")


def test_lines_of_libraries_have_the_level_of_the_settings() -> None:
    events = [json.loads(line)["event"] for line in run("json", "warning")[1].splitlines()]
    assert "Listening" not in events
    assert "Cannot connect" in events


def test_terminal_gets_coloured_text() -> None:
    shown = run_on_terminal("auto", NO_COLOR="")
    assert "\x1b[" in shown
    assert "ingest_started" in shown
    assert not any(line.lstrip().startswith("{") for line in shown.splitlines())


def test_no_color_is_obeyed() -> None:
    shown = run_on_terminal("auto", NO_COLOR="1")
    assert "\x1b[" not in shown
    assert "member=a1" in shown


def test_text_in_a_pipe_is_not_coloured_and_what_is_printed_is_printed() -> None:
    output = run("text")[1]
    assert "\x1b[" not in output
    assert "\nrefused\n" in output
    assert [text in output for text in ("ingest_started", "printed", "refused")] == [True] * 3
