"""Reads the CSV file of a run: a header line, then a record in each row, in the order in which it is published."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COLUMNS = ["topic", "payload", "key", "publish_offset_ms"]


class UnusableCsvError(Exception):
    """A file that cannot be read as records: the message names the line and the reason."""


class Record(NamedTuple):
    """A row. `key` is None when the column is empty; `publish_ms` is since the first record may be published."""

    topic: str
    payload: bytes
    key: str | None
    publish_ms: int


def read(file: Path) -> Iterator[Record]:
    """The records of the file, one at a time. Raises UnusableCsvError, OSError without the file."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        if next(rows, None) != COLUMNS:
            raise UnusableCsvError(f"line 1: not the columns {','.join(COLUMNS)}")
        try:
            for row in rows:
                topic, payload, key, publish_ms = row
                yield Record(topic, payload.encode(), key or None, int(publish_ms))
        except (ValueError, csv.Error) as error:
            raise UnusableCsvError(f"line {rows.line_num}: {error}") from None
