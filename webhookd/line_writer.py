"""Writes the lines of the log, in a way that holds while a signal handler logs.

A handler runs on the main thread, possibly in the middle of a line, and may then wait for other threads. So a line
takes no lock that these threads need: most lines are one call of write(2). The kernel does not mix such calls on a
pipe, if they are not longer than PIPE_BUF, nor on an open file or a socket.

line              order
up to PIPE_BUF    at once, unless a longer line is being written: then after it
longer            one at a time
any               written nevertheless when it has waited for WAIT_S
"""

import io
import logging
import select
from threading import Lock
from typing import Final, TextIO

WAIT_S: Final = 1.0
"""How long a line waits for a longer one, or for a full non-blocking stream. Only a thread that a signal handler has
interrupted, or a stream that nobody reads, takes so long for a line."""


class LineWriter:
    """Writes lines to one stream; any thread, and signal handlers. structlog uses it as a logger.

    It raises nothing when the stream cannot be written: the line is dropped, because nothing else can report it, and
    a delivery must not fail with its log. Data in the stream's own buffers may come later than the lines.
    """

    def __init__(self, stream: TextIO, wait_s: float = WAIT_S) -> None:
        self._stream = stream
        self._wait_s = wait_s
        self._file = _file_of(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._long_line = Lock()

    def write(self, line: bytes | str) -> None:
        """Write a line, given without its end."""
        try:
            if self._file is None:
                self._write_to_stream(line)
                return
            data = (line if isinstance(line, bytes) else line.encode(self._encoding, "backslashreplace")) + b"\n"
            if len(data) > select.PIPE_BUF or self._long_line.locked():
                self._write_in_turn(self._file, data)
                return
            written = self._file.write(data)
            if written != len(data):
                self._write_all(self._file, data[written or 0 :])
        except (OSError, ValueError):  # ValueError: the stream is closed
            return

    debug = info = warning = error = critical = write

    def _write_in_turn(self, file: io.FileIO, data: bytes) -> None:
        lock = self._long_line
        if not lock.acquire(timeout=self._wait_s):
            # Its owner is stuck, perhaps below this very call. Lines that come now must not wait for it too.
            lock = self._long_line = Lock()
            lock.acquire()
        try:
            self._write_all(file, data)
        finally:
            lock.release()

    def _write_all(self, file: io.FileIO, data: bytes) -> None:
        """Write also what a first call leaves, because a signal has interrupted it or a non-blocking stream is full."""
        rest = memoryview(data)
        while rest:
            written = file.write(rest)
            if written is None and not self._becomes_writable(file):
                return
            rest = rest[written or 0 :]

    def _becomes_writable(self, file: io.FileIO) -> bool:
        poll = select.poll()
        poll.register(file, select.POLLOUT)
        return bool(poll.poll(self._wait_s * 1000))

    def _write_to_stream(self, line: bytes | str) -> None:
        self._stream.write((line.decode() if isinstance(line, bytes) else line) + "\n")
        self._stream.flush()


class LineHandler(logging.Handler):
    """Passes the lines of libraries to the writer, without the lock of other handlers."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Have no lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line if the filters accept it."""
        accepted = self.filter(record)
        if accepted:
            self.emit(record)
        return bool(accepted)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - a library's line whose arguments do not fit, as logging's handlers do
            self.handleError(record)


def _file_of(stream: TextIO) -> io.FileIO | None:
    """Return the file below the stream's buffers. Unlike its descriptor, it is known to be closed."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, io.FileIO) else None
