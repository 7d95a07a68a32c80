"""Writes what one process of the receiver gets, on a thread of its own: requests do not wait for SQLite."""

import threading
from collections.abc import Callable

from webhookd_load_test.receiver.received_file import NotKeptError, Received, ReceivedFile

COMMIT_S = 0.2
WAITING_BYTES = 8 << 20
"""How much may wait for the next transaction; at half of it one begins at once."""

RESERVE_BYTES = 4 * WAITING_BYTES
"""Room for the transaction that fails, for what arrives meanwhile, and for SQLite's pages."""

REQUEST_BYTES, RECORD_BYTES = 100, 150
"""What a row takes about besides the bytes of the body."""


class ReceivedWriter:
    """Keeps requests in the order in which `keep` got them, and closes the file at the end.

    `failed` is called once, on the writer's thread, when writing has failed; from then on `keep` raises NotKeptError.
    """

    def __init__(self, file: ReceivedFile, *, failed: Callable[[], None], commit_s: float = COMMIT_S) -> None:
        self._file = file
        self._failed = failed
        self._commit_s = commit_s
        self._changed = threading.Condition()
        self._queue: list[Received] = []
        self._queued_bytes = 0
        self._in_transaction = 0
        self._closing = False
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="received-writer")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests are not in the file yet."""
        return len(self._queue) + self._in_transaction

    def keep(self, received: Received) -> None:
        """Take a request, to be written soon; blocks while too much waits. Raises NotKeptError."""
        size = received.body_bytes + REQUEST_BYTES + RECORD_BYTES * len(received.records)
        with self._changed:
            while self._queue and self._queued_bytes + size > WAITING_BYTES and not self._refuses:
                self._changed.wait()
            if self._refuses:
                raise NotKeptError(self._failure or f"{self._file.path} is closed")
            self._queue.append(received)
            self._queued_bytes += size
            if self._queued_bytes > WAITING_BYTES // 2:
                self._changed.notify_all()

    def close(self) -> None:
        """Write everything, and close the file. Raises NotKeptError when something could not be written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure:
            raise NotKeptError(self._failure)

    @property
    def _refuses(self) -> bool:
        return self._closing or bool(self._failure)

    def _run(self) -> None:
        try:
            while self._write_what_waits():
                pass
        except NotKeptError:
            self._failed()
        finally:
            self._file.close()

    def _write_what_waits(self) -> bool:
        """Wait a while, and write; returns whether there may be more. Raises NotKeptError."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._queued_bytes > WAITING_BYTES // 2, self._commit_s)
            closing, taken = self._closing, self._taken()
        try:
            self._file.add(taken)
        except Exception as error:
            self._fail(str(error) or type(error).__name__, taken)
            raise NotKeptError(str(error)) from error
        self._in_transaction = 0
        return not closing

    def _taken(self) -> list[Received]:
        taken, self._queue = self._queue, []
        self._queued_bytes, self._in_transaction = 0, len(taken)
        self._changed.notify_all()
        return taken

    def _fail(self, reason: str, taken: list[Received]) -> None:
        """Refuse everything from now on, and keep what has been answered already."""
        with self._changed:
            self._failure = reason
            answered = taken + self._taken()
        try:
            self._file.add_in_reserve(answered)
        except NotKeptError:
            self._failure += f"; {len(answered):,} requests that were received before are not in it"
