"""The SQLite file of one process of the receiver: requests with their records, added in transactions."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from webhookd_load_test.receiver.delivered_records import DeliveredRecord
from webhookd_load_test.receiver.signatures import Signature
from webhookd_load_test.run_folder.received import SCHEMA

ROWS = 50
"""Rows in one statement: the interpreter may switch to another thread at each statement, which takes longer than it."""

INSERT_REQUEST = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)"
INSERT_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

_Row = tuple[object, ...]


class NotKeptError(Exception):
    """What arrives cannot be kept. The message is one line."""


class Received(NamedTuple):
    """A request with its answer, and its records; `status` is 0 if it is never answered."""

    received_ns: int
    path: str
    status: int
    webhook_id: str | None
    body_bytes: int
    signature: Signature
    records: Sequence[DeliveredRecord] = ()


class ReceivedFile:
    """Adds to a file, which is made if it is not there. Raises NotKeptError when it cannot be opened or written.

    With it goes a file of `reserve_bytes`, so that there is room for what has been answered when the disk is full.
    A transaction outlives the process, however that ends, but not the machine: nothing waits for the disk.
    """

    def __init__(self, file: Path, *, keep_values: bool, reserve_bytes: int) -> None:
        self.path = file
        self._keep_values = keep_values
        self._reserve = file.with_suffix(".reserve")
        try:
            self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(SCHEMA)
            (last,) = self._connection.execute("SELECT ifnull(max(id), 0) FROM requests").fetchone()
            _allocate(self._reserve, reserve_bytes)
        except (OSError, sqlite3.Error) as error:
            self._give_up_reserve()
            raise NotKeptError(self._reason(error)) from None
        self._ids = itertools.count(last + 1)

    def add(self, received: Iterable[Received]) -> None:
        """Add these requests, all or none. Raises NotKeptError."""
        requests: list[_Row] = []
        records: list[_Row] = []
        for one, id_ in zip(received, self._ids, strict=False):  # in this order, so that no id is left out
            requests.append((id_, *one[:6]))
            records += self._rows(id_, one.records)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            _insert(self._connection, INSERT_REQUEST, requests)
            _insert(self._connection, INSERT_RECORD, records)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")  # after some errors SQLite has done it already
            raise NotKeptError(self._reason(error)) from None

    def add_in_reserve(self, received: Iterable[Received]) -> None:
        """Add these requests where the reserve was. Raises NotKeptError."""
        self._give_up_reserve()
        self.add(received)

    def close(self) -> None:
        """Close it; what the log of SQLite still has is moved to the file itself if there is room."""
        self._give_up_reserve()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _rows(self, id_: int, records: Sequence[DeliveredRecord]) -> list[_Row]:
        keep_values = self._keep_values
        return [
            (
                id_,
                position,
                topic,
                partition,
                offset,
                timestamp_ms,
                str(key, "utf-8"),
                number,
                str(value, "utf-8") if keep_values else None,
            )
            for position, (topic, partition, offset, timestamp_ms, key, number, value) in enumerate(records)
        ]

    def _give_up_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink()

    def _reason(self, error: Exception) -> str:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        return f"cannot write {self.path}: {reason}"


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[_Row]) -> None:
    whole = len(rows) - len(rows) % ROWS
    values = statement[statement.index("(") :]
    several = statement + f", {values}" * (ROWS - 1)
    for at in range(0, whole, ROWS):
        connection.execute(several, list(itertools.chain.from_iterable(rows[at : at + ROWS])))
    connection.executemany(statement, rows[whole:])


def _allocate(file: Path, size: int) -> None:
    """Take room on the disk. The zeros are written: not each file system can promise room."""
    with file.open("wb") as output:
        for _ in range(size >> 20):
            output.write(bytes(1 << 20))
