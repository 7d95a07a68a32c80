"""How the receiver of the load test saves what it gets: real SQLite files, the real thread.

Oracle: what SQLite reads from the file. A full disk is SQLite's own limit of pages, which the reserve lifts in place of
the disk.
"""

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from webhookd_load_test.receiver.delivered_records import DeliveredRecord
from webhookd_load_test.receiver.received_file import ROWS, NotKeptError, Received, ReceivedFile
from webhookd_load_test.receiver.received_writer import WAITING_BYTES, ReceivedWriter

PATIENCE_S = 10.0
NEVER_S = 3600.0
RESERVE_BYTES = 1 << 20


def record(offset: int, value: bytes = b'{"a": 1}') -> DeliveredRecord:
    return DeliveredRecord("orders", 0, offset, 1_700_000_000_000, b'"c-1"', offset, value)


def received(first: int, count: int = 1, *, value: bytes = b'{"a": 1}') -> Received:
    records = [record(offset, value) for offset in range(first, first + count)]
    return Received(1_700_000_000_000_000_000 + first, "/hook", 200, f"msg_{first}", len(value), "valid", records)


def opened(file: Path, *, keep_values: bool = True) -> ReceivedFile:
    return ReceivedFile(file, keep_values=keep_values, reserve_bytes=RESERVE_BYTES)


def rows(file: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(statement).fetchall()


def fill(file: ReceivedFile) -> None:
    """Let the file have no more pages than it has."""
    (pages,) = file._connection.execute("PRAGMA page_count").fetchone()
    file._connection.execute(f"PRAGMA max_page_count={pages}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "received-0.sqlite"


@pytest.fixture
def failed() -> threading.Event:
    return threading.Event()


def test_everything_is_in_the_file_when_it_is_closed(path: Path, failed: threading.Event) -> None:
    writer = ReceivedWriter(opened(path), failed=failed.set, commit_s=NEVER_S)
    sizes = [1, ROWS - 1, ROWS, ROWS + 1, 0]
    for number, size in enumerate(sizes):
        writer.keep(received(1000 * number, size))
    writer.close()
    assert rows(path, "SELECT id, path, status, webhook_id, bytes, signature FROM requests ORDER BY id")[:2] == [
        (1, "/hook", 200, "msg_0", 8, "valid"),
        (2, "/hook", 200, "msg_1000", 8, "valid"),
    ]
    expected = [(id_, position) for id_, size in enumerate(sizes, 1) for position in range(size)]
    assert rows(path, "SELECT request, position FROM records ORDER BY 1, 2") == expected
    assert rows(path, "SELECT * FROM records WHERE request = 1") == [
        (1, 0, "orders", 0, 0, 1_700_000_000_000, '"c-1"', 0, '{"a": 1}')
    ]
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert not failed.is_set()


def test_transaction_is_in_the_file_soon(path: Path, failed: threading.Event) -> None:
    writer = ReceivedWriter(opened(path), failed=failed.set, commit_s=0.01)
    writer.keep(received(1))
    written = threading.Event()
    while writer.waiting and not written.wait(0.01):
        pass
    assert rows(path, "SELECT count(*) FROM records") == [(1,)]
    writer.close()


def test_file_is_continued(path: Path, failed: threading.Event) -> None:
    for first in (1, 2):
        writer = ReceivedWriter(opened(path), failed=failed.set)
        writer.keep(received(first))
        writer.close()
    assert rows(path, 'SELECT request, "offset" FROM records ORDER BY 1') == [(1, 1), (2, 2)]


def test_values_are_left_out_on_request(path: Path, failed: threading.Event) -> None:
    writer = ReceivedWriter(opened(path, keep_values=False), failed=failed.set)
    writer.keep(received(1))
    writer.close()
    assert rows(path, "SELECT key, value FROM records") == [('"c-1"', None)]


class SlowFile(ReceivedFile):
    """A file on a slow disk: it writes when it is let."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, keep_values=True, reserve_bytes=RESERVE_BYTES)
        self.writes, self.go_on = threading.Event(), threading.Event()

    def add(self, received: Iterable[Received]) -> None:
        several = list(received)
        if several:
            self.writes.set()
            assert self.go_on.wait(PATIENCE_S)
        super().add(several)


def test_request_waits_while_too_much_is_queued(path: Path, failed: threading.Event) -> None:
    file = SlowFile(path)
    writer = ReceivedWriter(file, failed=failed.set, commit_s=0.001)
    writer.keep(received(0))
    assert file.writes.wait(PATIENCE_S)
    large = received(1)._replace(body_bytes=WAITING_BYTES)
    writer.keep(large)
    last = threading.Thread(target=writer.keep, args=[large])
    last.start()
    last.join(0.05)
    assert last.is_alive()
    assert writer.waiting == 2
    file.go_on.set()
    last.join(PATIENCE_S)
    assert not last.is_alive()
    writer.close()
    assert rows(path, "SELECT count(*) FROM requests") == [(3,)]


def test_what_was_answered_is_kept_in_the_reserve_when_the_disk_is_full(
    path: Path, failed: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(path)
    fill(file)
    give_up = file._give_up_reserve

    def give_up_and_lift() -> None:
        give_up()
        file._connection.execute("PRAGMA max_page_count=1000000")

    monkeypatch.setattr(file, "_give_up_reserve", give_up_and_lift)
    writer = ReceivedWriter(file, failed=failed.set, commit_s=NEVER_S)
    for first in range(0, 1000, 100):
        writer.keep(received(first, 100, value=b'"%s"' % (b"x" * 1000)))
    with pytest.raises(NotKeptError, match=r"cannot write .*received-0.sqlite: database or disk is full$"):
        writer.close()
    assert failed.wait(PATIENCE_S)
    assert rows(path, 'SELECT "offset" FROM records ORDER BY 1') == [(offset,) for offset in range(1000)]


def test_what_is_lost_is_said(path: Path, failed: threading.Event) -> None:
    file = opened(path)
    fill(file)
    writer = ReceivedWriter(file, failed=failed.set, commit_s=0.001)
    writer.keep(received(0, 100, value=b'"%s"' % (b"x" * 1000)))
    assert failed.wait(PATIENCE_S)
    with pytest.raises(NotKeptError, match="disk is full"):
        writer.keep(received(1))
    with pytest.raises(NotKeptError, match=r"disk is full; 1 requests that were received before are not in it$"):
        writer.close()
    assert rows(path, "SELECT count(*) FROM requests") == [(0,)]


def test_nothing_is_kept_after_the_end(path: Path, failed: threading.Event) -> None:
    writer = ReceivedWriter(opened(path), failed=failed.set)
    writer.close()
    with pytest.raises(NotKeptError, match="is closed"):
        writer.keep(received(0))


@pytest.mark.parametrize("content", [b"this is no database" * 100, None], ids=["other file", "folder"])
def test_file_that_cannot_be_used_is_refused(path: Path, content: bytes | None) -> None:
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(NotKeptError, match=r"cannot write .*received-0.sqlite: "):
        opened(path)
