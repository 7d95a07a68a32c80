"""The CSV file of a load: what is written is read, and what cannot be used is named with its line. Real files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from webhookd_load_test.records import csv_file, csv_survey, csv_writer
from webhookd_load_test.records.csv_file import UnusableCsvError
from webhookd_load_test.records.generate import Record

HEADER = "topic,payload,key,publish_offset_ms\n"
RECORDS = [
    Record("orders", b'{"text":"a, \\"b\\""}', "key-1", 0),
    Record("orders", "ü\n二".encode(), None, 10),
    Record("payments", b"", "key,2", 10),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.csv"


def interrupted() -> Iterator[Record]:
    yield RECORDS[0]
    raise KeyboardInterrupt


def test_what_is_written_is_read(file: Path) -> None:
    assert csv_writer.write(file, RECORDS) == 3
    assert list(csv_file.read(file)) == RECORDS


def test_rows_have_the_line_at_which_they_begin(file: Path) -> None:
    csv_writer.write(file, RECORDS)
    assert [row.line for row in csv_file.read_rows(file)] == [2, 3, 5]


def test_survey_knows_rows_topics_and_end(file: Path) -> None:
    csv_writer.write(file, RECORDS)
    found = csv_survey.survey(file)
    assert (found.rows, found.topics, found.last_ms) == (3, ["orders", "payments"], 10)


def test_survey_tells_files_apart_by_their_last_byte(file: Path) -> None:
    csv_writer.write(file, RECORDS)
    one = csv_survey.survey(file)
    csv_writer.write(file, [*RECORDS[:2], RECORDS[2]._replace(publish_ms=11)])
    assert one.digest != csv_survey.survey(file).digest


def test_survey_says_how_far_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_survey, "SURVEYED_ROWS", 1)
    csv_writer.write(file, RECORDS)
    seen: list[int] = []
    csv_survey.survey(file, seen.append)
    assert len(seen) == 3
    assert seen[-1] == file.stat().st_size


def test_interrupted_write_leaves_no_file(file: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        csv_writer.write(file, interrupted())
    assert list(file.parent.iterdir()) == []


def test_interrupted_write_leaves_the_file_before(file: Path) -> None:
    csv_writer.write(file, RECORDS)
    with pytest.raises(KeyboardInterrupt):
        csv_writer.write(file, interrupted())
    assert list(csv_file.read(file)) == RECORDS
    assert list(file.parent.iterdir()) == [file]


def test_files_of_spreadsheets_are_read(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfkey,publish_offset_ms,topic,payload\r\nk,3,orders,"{""a"":1}"\r\n\r\n')
    assert list(csv_file.read(file)) == [Record("orders", b'{"a":1}', "k", 3)]


def test_large_payload_is_read(file: Path) -> None:
    record = Record("orders", b"x" * 1_000_000, "k", 0)
    csv_writer.write(file, [record])
    assert list(csv_file.read(file)) == [record]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the header has no column topic"),
        ("topic,payload,publish_offset_ms\n", "line 1: the header has no column key; the columns are topic, payload,"),
        (f"{HEADER.strip()},partition\n", "line 1: the column 'partition' is unknown"),
        (f"{HEADER.strip()},key\n", "line 1: a column is there twice"),
        (f"{HEADER}orders,x,k,0\norders,x,k\n", "line 3: has 3 fields, and the header 4"),
        (f"{HEADER}orders,x,k,1.5\n", "line 2: publish_offset_ms '1.5' is not a whole number of milliseconds"),
        (f"{HEADER}orders,x,k,-1\n", "line 2: publish_offset_ms '-1' is not"),
        (f"{HEADER}orders,x,k,²\n", "line 2: publish_offset_ms '²' is not"),
        (f"{HEADER}orders,x,k,99999999999\n", "line 2: publish_offset_ms 99999999999 is more than a year"),
        (f"{HEADER}orders,x,k,5\n\norders,x,k,4\n", "line 4: publish_offset_ms 4 is before that of the row above, 5"),
        (f"{HEADER},x,k,0\n", "line 2: topic '' is no name of a topic"),
        (f"{HEADER}..,x,k,0\n", "line 2: topic '..' is no name"),
        (f"{HEADER}a/b,x,k,0\n", "line 2: topic 'a/b' is no name"),
        (f'{HEADER}orders,"x,k,0\n', "line 2: unexpected end of data"),
        (f'{HEADER}orders,"x"y,k,0\n', "line 2: ',' expected after '\"'"),
        (HEADER, "has a header and no rows"),
    ],
)
def test_unusable_line_is_named(file: Path, text: str, reason: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UnusableCsvError) as error:
        csv_survey.survey(file)
    assert str(error.value).startswith(str(file))
    assert reason in str(error.value)


def test_bytes_that_are_no_text_are_named(file: Path) -> None:
    file.write_bytes(HEADER.encode() + b"orders,\xff,k,0\n")
    with pytest.raises(UnusableCsvError, match="line 2: is not UTF-8: invalid start byte at byte 7"):
        list(csv_file.read(file))


def test_endless_line_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "LARGEST_LINE_BYTES", 100)
    file.write_text(f"{HEADER}orders,{'x' * 100},k,0\n", encoding="utf-8")
    with pytest.raises(UnusableCsvError, match="line 2: is longer than 100 bytes"):
        list(csv_file.read(file))


def test_quote_that_is_not_closed_takes_no_more_than_a_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "LARGEST_LINE_BYTES", 100)
    file.write_text(f'{HEADER}orders,"x\n{"orders,x,k,0" * 4}\n{"orders,x,k,0" * 5}\n', encoding="utf-8")
    with pytest.raises(UnusableCsvError, match=r"line 2: field larger than field limit \(100\)"):
        list(csv_file.read(file))


@pytest.mark.parametrize("name", ["none/records.csv", "."])
def test_unusable_path_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableCsvError, match=r"No such file or directory|Is a directory"):
        csv_survey.survey(tmp_path / name)
    with pytest.raises(UnusableCsvError, match=r"No such file or directory|Is a directory"):
        csv_writer.write(tmp_path / name, RECORDS)
