"""What is kept of acknowledged records. Real files of SQLite."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from webhookd_load_test.records.csv_survey import CsvSurvey
from webhookd_load_test.records.published_file import (
    Acknowledged,
    PublishedWriter,
    UnusablePublishedError,
    acknowledged_numbers,
    only_writer,
    open_published,
)

SURVEY = CsvSurvey(rows=9, topics=["orders"], last_ms=0, digest="one")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "published.sqlite"


def row(number: int, offset: int | None = 5) -> Acknowledged:
    return Acknowledged(number, "orders", 1, offset, "key", 10, 11, 12)


def write(file: Path, rows: Iterable[Acknowledged]) -> None:
    with PublishedWriter(file) as writer:
        for one in rows:
            writer.add(one)


def kept(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT * FROM published ORDER BY number").fetchall()


def test_rows_are_in_the_file_at_the_end(file: Path) -> None:
    assert open_published(file, SURVEY) == (0, -1)
    write(file, [row(0, 0), row(1, None), row(2, 2)])
    assert kept(file) == [row(0, 0), row(1, None), row(2, 2)]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_more_rows_than_a_batch_are_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookd_load_test.records.published_file.BATCH_ROWS", 2)
    open_published(file, SURVEY)
    write(file, map(row, range(7)))
    assert [one[0] for one in kept(file)] == list(range(7))


def test_later_run_learns_what_there_is(file: Path) -> None:
    open_published(file, SURVEY)
    write(file, map(row, (0, 7, 3)))
    assert open_published(file, SURVEY) == (3, 7)
    assert list(acknowledged_numbers(file)) == [0, 3, 7]


def test_other_csv_file_is_refused(file: Path) -> None:
    open_published(file, SURVEY)
    with pytest.raises(UnusablePublishedError, match="belongs to a CSV file with other content"):
        open_published(file, replace(SURVEY, digest="two"))
    assert open_published(file, SURVEY) == (0, -1)


def test_what_is_no_database_is_refused(file: Path) -> None:
    file.write_text("topic,payload,key,publish_offset_ms\n" * 50)
    with pytest.raises(UnusablePublishedError, match="file is not a database"):
        open_published(file, SURVEY)


def test_rows_that_cannot_be_written_are_an_error(file: Path) -> None:
    open_published(file, SURVEY)
    with pytest.raises(UnusablePublishedError, match="UNIQUE constraint failed"):
        write(file, [row(1), row(1)])


def test_writer_that_failed_blocks_nobody(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookd_load_test.records.published_file.WAITING_ROWS", 2)
    with pytest.raises(UnusablePublishedError, match="no such table"):
        write(file, map(row, range(20)))


def test_two_runs_at_a_time_are_refused(file: Path) -> None:
    with only_writer(file), pytest.raises(UnusablePublishedError, match=r"process \d+ is publishing into it"):
        only_writer(file).__enter__()
    with only_writer(file):
        assert file.with_name(f"{file.name}.owner").exists()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusablePublishedError, match=r"File exists|Not a directory"):
        only_writer(tmp_path / "file" / "published.sqlite").__enter__()
