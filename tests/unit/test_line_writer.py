"""Lines reach the log whole, and a line that a signal handler has interrupted delays nobody.

Oracles: what arrives at the other end of a pipe. Doubled: files whose `write` is interrupted or incomplete.
"""

import io
import logging
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from threading import Event, Thread
from typing import Any, TextIO

import pytest

from webhookd.line_writer import LineHandler, LineWriter

PATIENCE_S = 60.0
INTERRUPTED = """
import io, logging, os, signal, sys, threading
from webhookd import logs

class Interrupted(io.FileIO):
    "Gets a signal in the middle of its first line."
    calls = 0
    def write(self, data):
        self.calls += 1
        if self.calls > 1:
            return super().write(data)
        half = super().write(bytes(data)[: len(data) // 2])
        signal.raise_signal(signal.SIGTERM)
        return half

def delivery():
    logs.get("own").info("delivered")
    logs.get("own").info("not_reported", code="queue_unavailable")
    logging.getLogger("celery").warning("of a library")

def handle(*_):
    thread = threading.Thread(target=delivery, daemon=True)
    thread.start()
    thread.join()  # as the stop waits for deliveries
    logs.get("own").info("stopping")

signal.signal(signal.SIGTERM, handle)
logs.configure(sys.argv[1], "info", io.TextIOWrapper(io.BufferedWriter(Interrupted(2, "w", closefd=False))))
if sys.argv[2] == "own":
    logs.get("own").info("interrupted")
else:
    logging.getLogger("celery").warning("interrupted")
"""
"""Runs in a process of its own: the log is set up once for each process."""


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Pipe:
    """A pipe whose other end is read all the time."""

    def __init__(self, file: type[io.FileIO] = io.FileIO) -> None:
        reader, writer = os.pipe()
        self.stream = stream_on(file(writer, "w"))
        self._read: list[bytes] = []
        self._thread = Thread(target=self._read_all, args=(reader,), daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Close the pipe; returns what was written."""
        self.stream.close()
        self._thread.join(PATIENCE_S)
        return b"".join(self._read).decode().split("\n")[:-1]

    def _read_all(self, reader: int) -> None:
        while part := os.read(reader, 65536):
            self._read.append(part)
        os.close(reader)


def stream_on(file: io.FileIO) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8")


def at_once(*actions: Callable[[], object]) -> None:
    """Carry all out, each on a thread of its own."""
    threads = [Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)


def write_often(writer: LineWriter, line: str, count: int) -> None:
    for _ in range(count):
        writer.write(line)


def library_line(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("library", logging.WARNING, "", 0, text, arguments, None)


class ThreeBytes(io.FileIO):
    """Writes three bytes a call."""

    def write(self, data: Any) -> int:  # noqa: ANN401 - a buffer, which typing cannot name in 3.11
        return super().write(bytes(data)[:3])


@pytest.mark.parametrize("source", ["own", "library"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_handler_and_other_threads_log_while_a_line_is_interrupted(log_format: str, source: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, log_format, source], capture_output=True, check=True, timeout=PATIENCE_S
    )
    events = ("delivered", "not_reported", "of a library", "stopping")
    assert [event for event in events if event.encode() not in ran.stderr] == []


@pytest.mark.parametrize("length", [1, 300, select.PIPE_BUF - 1, 200_000])
def test_lines_of_many_threads_are_not_mixed(length: int) -> None:
    pipe = Pipe()
    writer = LineWriter(pipe.stream, PATIENCE_S)
    letters = "abcdefgh"
    count = 2_000_000 // length // len(letters) if length > 300 else 1000
    at_once(*[partial(write_often, writer, letter * length, count) for letter in letters])
    assert sorted(pipe.lines()) == sorted(letter * length for letter in letters for _ in range(count))


@pytest.mark.parametrize("length", [100, select.PIPE_BUF * 3])
def test_rest_of_a_partial_write_follows(length: int) -> None:
    pipe = Pipe(ThreeBytes)
    writer = LineWriter(pipe.stream)
    writer.write("ä" * length)
    writer.write(b"next")
    assert pipe.lines() == ["ä" * length, "next"]


def test_stuck_long_line_delays_one_line_and_only_for_a_moment() -> None:
    stuck, go_on = Event(), Event()

    class Stuck(io.FileIO):
        def write(self, data: Any) -> int:  # noqa: ANN401 - likewise
            if bytes(data).startswith(b"long"):
                stuck.set()
                go_on.wait(PATIENCE_S)
            return super().write(data)

    pipe = Pipe(Stuck)
    writer = LineWriter(pipe.stream, wait_s=0.01)
    thread = Thread(target=writer.write, args=("long" * select.PIPE_BUF,), daemon=True)
    thread.start()
    assert stuck.wait(PATIENCE_S)
    writer.write("first")
    writer._wait_s = PATIENCE_S * 2  # the next line must not wait
    at_once(lambda: writer.write("second"))
    go_on.set()
    thread.join(PATIENCE_S)
    assert pipe.lines() == ["first", "second", "long" * select.PIPE_BUF]


def test_full_pipe_that_does_not_block_is_waited_for(exits: ExitStack) -> None:
    reader, end = os.pipe()
    exits.callback(os.close, reader)
    os.set_blocking(end, False)
    stream = exits.enter_context(stream_on(io.FileIO(end, "w")))
    fill(end)
    LineWriter(stream, wait_s=0.01).write("dropped")
    os.set_blocking(reader, False)
    thread = Thread(target=LineWriter(stream, PATIENCE_S).write, args=("written",), daemon=True)
    thread.start()
    text = b""
    while not text.endswith(b"\n"):
        assert select.select([reader], [], [], PATIENCE_S)[0]
        text += os.read(reader, 65536)
    thread.join(PATIENCE_S)
    assert text.strip(b"x") == b"written\n"


def fill(end: int) -> None:
    """Write to a pipe that does not block until it is full."""
    try:
        while True:
            os.write(end, b"x" * select.PIPE_BUF)
    except BlockingIOError:
        return


def closed() -> TextIO:
    stream = stream_on(io.FileIO(os.open(os.devnull, os.O_WRONLY), "w"))
    stream.close()
    return stream


def without_reader() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return stream_on(io.FileIO(writer, "w"))


def on_full_disk() -> TextIO:
    return stream_on(io.FileIO("/dev/full", "w"))


def closed_text() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream_of", [closed, without_reader, on_full_disk, closed_text])
@pytest.mark.parametrize("length", [1, select.PIPE_BUF * 2])
def test_line_that_cannot_be_written_raises_nothing(
    exits: ExitStack, stream_of: Callable[[], TextIO], length: int
) -> None:
    stream = stream_of()
    exits.callback(stream.close)
    LineWriter(stream).write("x" * length)
    LineHandler(LineWriter(stream)).handle(library_line("x" * length))


def test_stream_without_a_file_gets_bytes_and_text() -> None:
    in_memory = io.BytesIO()
    for stream in (io.StringIO(), io.TextIOWrapper(in_memory, encoding="utf-8")):
        LineWriter(stream).write(b"bytes")
        LineWriter(stream).write("text ä")
        stream.seek(0)
        assert stream.read() == "bytes\ntext ä\n"


def test_text_that_the_terminal_cannot_show_is_escaped(exits: ExitStack) -> None:
    reader, end = os.pipe()
    exits.callback(os.close, reader)
    stream = exits.enter_context(io.TextIOWrapper(io.BufferedWriter(io.FileIO(end, "w")), encoding="ascii"))
    LineWriter(stream).write("ä")
    assert os.read(reader, 100) == b"\\xe4\n"


def test_line_of_a_library_that_cannot_be_formatted_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    handler = LineHandler(LineWriter(text))
    handler.handle(library_line("%d records", "no number"))
    handler.handle(library_line("next"))
    assert text.getvalue() == "next\n"
    assert "Logging error" in capsys.readouterr().err
