"""Reads the CSV file of a load, which csv_writer.py writes: a header line, then a row for each record, by their times.

    topic,payload,key,publish_offset_ms
    load-test-0,"{""id"":0}",key-17,12

The file is UTF-8, as RFC 4180 describes it; LF and CRLF both end a line. The columns may have any order, and there are
no others. An empty key is no key. `publish_offset_ms` is a whole number of milliseconds after the load began. A row
that is due before the row above it is an error: the file is read as it is published, so that row would always be late.
Empty lines are skipped.
"""

import csv
import hashlib
import re
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from webhookd_load_test.records.duration import LONGEST_MS
from webhookd_load_test.records.generate import Record

COLUMNS = ("topic", "payload", "key", "publish_offset_ms")
TOPIC = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}")
LARGEST_LINE_BYTES = 64 * 1024 * 1024
"""Below what a broker reads as one request. It also bounds what a quote that is never closed takes."""


class UnusableCsvError(Exception):
    """A file that cannot be read or written: the message names the file, the line and the reason."""


class Row(NamedTuple):
    """A record with the number of its line in the file, from 1."""

    line: int
    record: Record


def read(file: Path) -> Iterator[Record]:
    """Read the records one by one. Raises UnusableCsvError with the line."""
    return (row.record for row in read_rows(file))


def read_rows(file: Path) -> Iterator[Row]:
    """Read the records with the numbers of their lines. Raises UnusableCsvError with the line."""
    try:
        with file.open("rb") as opened:
            yield from rows(file, Lines(file, opened))
    except OSError as error:
        raise UnusableCsvError(f"{file}: {error.strerror}") from None


class Lines:
    """The lines of an open file as text; `line` is the number of the last one, and `read_bytes` the bytes so far."""

    def __init__(self, file: Path, opened: IO[bytes]) -> None:
        self.line = 0
        self.read_bytes = 0
        self._file = file
        self._opened = opened
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        while line := self._opened.readline(LARGEST_LINE_BYTES):
            self.line += 1
            self.read_bytes += len(line)
            self._digest.update(line)
            yield self._text(line)

    def _text(self, line: bytes) -> str:
        if len(line) == LARGEST_LINE_BYTES:
            refuse(self._file, self.line, f"is longer than {LARGEST_LINE_BYTES:,} bytes")
        try:
            # Spreadsheets write a byte-order mark at the beginning.
            return line.decode("utf-8-sig" if self.line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            refuse(self._file, self.line, f"is not UTF-8: {error.reason} at byte {error.start}")


def refuse(file: Path, line: int, reason: str) -> NoReturn:
    """Raise UnusableCsvError about a line."""
    raise UnusableCsvError(f"{file}, line {line}: {reason}")


def rows(file: Path, lines: Lines) -> Iterator[Row]:
    """Read the records of an open file. Raises UnusableCsvError with the line."""
    csv.field_size_limit(min(LARGEST_LINE_BYTES, sys.maxsize))
    found = _fields(file, lines)
    _, header = next(found, (1, []))
    in_order = itemgetter(*_places(file, header))
    topics: set[str] = set()
    before_ms = 0
    for line, fields in found:
        if len(fields) != len(COLUMNS):
            refuse(file, line, f"has {len(fields)} fields, and the header {len(COLUMNS)}")
        topic, payload, key, offset = in_order(fields)
        if topic not in topics:
            topics.add(_checked_topic(file, line, topic))
        publish_ms = _offset_ms(file, line, offset, before_ms)
        before_ms = publish_ms
        yield Row(line, Record(topic, payload.encode(), key or None, publish_ms))


def _fields(file: Path, lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that is not empty, with the number of the line at which they begin."""
    reader = csv.reader(lines, strict=True)
    while True:
        line = lines.line + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(file, line, str(error))
        if fields:
            yield line, fields


def _places(file: Path, header: list[str]) -> list[int]:
    if missing := [column for column in COLUMNS if column not in header]:
        refuse(file, 1, f"the header has no column {missing[0]}; the columns are {', '.join(COLUMNS)}")
    if len(header) != len(COLUMNS):
        others = [column for column in header if column not in COLUMNS]
        reason = f"the column {others[0]!r} is unknown" if others else "a column is there twice"
        refuse(file, 1, f"{reason}; the columns are {', '.join(COLUMNS)}")
    return [header.index(column) for column in COLUMNS]


def _checked_topic(file: Path, line: int, topic: str) -> str:
    if not TOPIC.fullmatch(topic):
        refuse(file, line, f"topic {topic!r} is no name of a topic: letters, digits, dots, _ and -, at most 249")
    return topic


def _offset_ms(file: Path, line: int, text: str, before_ms: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        refuse(file, line, f"publish_offset_ms {text[:40]!r} is not a whole number of milliseconds from 0")
    if (publish_ms := int(text)) > LONGEST_MS:
        refuse(file, line, f"publish_offset_ms {publish_ms} is more than a year, {LONGEST_MS}")
    if publish_ms < before_ms:
        refuse(
            file, line, f"publish_offset_ms {publish_ms} is before that of the row above, {before_ms}: sort the rows"
        )
    return publish_ms
