"""Keeps in SQLite what Kafka has acknowledged (run_folder/published.py), off the path of the records."""

import sqlite3
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import NamedTuple, Self

from stack.errors import NotStarted
from stack.single_owner import owned
from webhookd_load_test.records.csv_survey import CsvSurvey
from webhookd_load_test.run_folder.published import SCHEMA

BATCH_S = 0.1
"""How long the first row of a batch waits for others: what kill -9 can take away."""

BATCH_ROWS = 10_000
WAITING_ROWS = 100_000
"""When so many rows wait to be written, the producer waits."""

BUSY_S = 30.0
INSERT = "INSERT INTO published VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class UnusablePublishedError(Exception):
    """The file cannot be used: the message names it and the reason."""


class Acknowledged(NamedTuple):
    """A record that Kafka has acknowledged; the columns of the table."""

    number: int
    topic: str
    partition: int
    offset: int | None
    key: str | None
    due_ns: int
    sent_ns: int
    acknowledged_ns: int


class Before(NamedTuple):
    """What earlier runs have left: how many records are acknowledged, and the last one's number; -1 if none is."""

    acknowledged: int
    last: int


@contextmanager
def only_writer(file: Path) -> Iterator[None]:
    """Let no other process publish into the file meanwhile. Raises UnusablePublishedError when another one does."""
    with ExitStack() as ownership:
        try:
            owner = file.with_name(f"{file.name}.owner")
            ownership.enter_context(owned(owner, f"{file}: process {{pid}} is publishing into it"))
        except OSError as error:
            raise UnusablePublishedError(f"{file}: {error.strerror}") from None
        except NotStarted as taken:
            raise UnusablePublishedError(str(taken)) from None
        yield


def open_published(file: Path, survey: CsvSurvey) -> Before:
    """Create the file, or go on with it. Raises UnusablePublishedError, also when it belongs to another CSV file."""
    try:
        with closing(_connected(file)) as connection, connection:
            connection.executescript(SCHEMA)
            source = connection.execute("SELECT digest FROM source").fetchone()
            if source is None:
                connection.execute("INSERT INTO source VALUES (?, ?)", (survey.digest, survey.rows))
            elif source[0] != survey.digest:
                raise UnusablePublishedError(
                    f"{file}: belongs to a CSV file with other content; name another file for what is published"
                )
            return Before(*connection.execute("SELECT count(*), coalesce(max(number), -1) FROM published").fetchone())
    except sqlite3.Error as error:
        raise UnusablePublishedError(f"{file}: {error}") from None


def acknowledged_numbers(file: Path) -> Generator[int, None, None]:
    """The numbers of the acknowledged records, ascending, as they are now. Raises UnusablePublishedError."""
    try:
        with closing(_connected(file)) as connection:
            for row in connection.execute("SELECT number FROM published ORDER BY number"):
                yield row[0]
    except sqlite3.Error as error:
        raise UnusablePublishedError(f"{file}: {error}") from None


class PublishedWriter(AbstractContextManager["PublishedWriter"]):
    """A context whose thread writes rows in batches. At its end all rows are in the file, or it raises."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._failure = ""
        self._rows: Queue[Acknowledged | None] = Queue(WAITING_ROWS)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="published", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._rows.put(None)
        self._thread.join()
        if kind is None:
            self.check()

    def add(self, row: Acknowledged) -> None:
        """Keep a row; waits only while WAITING_ROWS others wait."""
        self._rows.put(row)

    def check(self) -> None:
        """Raise UnusablePublishedError when rows could not be written."""
        if self._failure:
            raise UnusablePublishedError(f"{self._file}: {self._failure}")

    def _run(self) -> None:
        rows: list[Acknowledged | None] = []
        try:
            with closing(_connected(self._file)) as connection:
                while None not in rows[-1:]:
                    rows = self._batch()
                    connection.executemany(INSERT, filter(None, rows))
                    connection.commit()
        except sqlite3.Error as error:
            self._failure = str(error)
            while None not in rows[-1:]:  # what waits for room must not wait for ever
                rows = self._batch()

    def _batch(self) -> list[Acknowledged | None]:
        """The next rows; the last one is None at the end."""
        rows = [self._rows.get()]
        if self._rows.qsize() < BATCH_ROWS:
            self._closing.wait(BATCH_S)
        try:
            while rows[-1] is not None and len(rows) < BATCH_ROWS:
                rows.append(self._rows.get_nowait())
        except Empty:
            pass
        return rows


def _connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_S)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
