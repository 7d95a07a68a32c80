"""The check of the schema at the start of a process. Real: SQLite in a file, and the watch's thread."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from webhookd.errors import SchemaMismatch
from webhookd.store import migrating
from webhookd.store.database import Database
from webhookd.store.schema_watch import SchemaWatch

WAIT_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet: without it the database is unavailable."""
    return tmp_path / "later"


@pytest.fixture
def database(folder: Path) -> Iterator[Database]:
    """A database in that folder."""
    opened = Database(f"sqlite:///{folder}/webhookd.db")
    yield opened
    opened.close()


def watch(database: Database, mismatches: SimpleQueue[SchemaMismatch]) -> SchemaWatch:
    return SchemaWatch(database, mismatches.put, interval_s=0.01)


def test_wrong_schema_refuses_the_start(database: Database, folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(SchemaMismatch, match="run: webhookd migrate"):
        watch(database, SimpleQueue()).start()


def test_wrong_schema_that_arrives_later_is_reported(database: Database, folder: Path) -> None:
    mismatches: SimpleQueue[SchemaMismatch] = SimpleQueue()
    watch(database, mismatches).start()
    folder.mkdir()
    assert mismatches.get(timeout=WAIT_S).code == "schema_mismatch"


def test_right_schema_that_arrives_later_ends_the_watch(database: Database, folder: Path, tmp_path: Path) -> None:
    mismatches: SimpleQueue[SchemaMismatch] = SimpleQueue()
    started = watch(database, mismatches)
    started.start()
    (tmp_path / "made").mkdir()
    migrating.upgrade(f"sqlite:///{tmp_path}/made/webhookd.db")
    (tmp_path / "made").rename(folder)
    assert started.join(WAIT_S)
    assert mismatches.empty()
