"""Writes the CSV file of a load; csv_file.py describes it."""

import csv
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from webhookd_load_test.records.csv_file import COLUMNS, UnusableCsvError
from webhookd_load_test.records.generate import Record


def write(file: Path, records: Iterable[Record]) -> int:
    """Write a file; returns the number of rows. Raises UnusableCsvError.

    The rows go to FILE.new, which is renamed when it is complete: what has the file's name is a whole file. After an
    interruption neither is there, unless the file was there before.
    """
    unfinished = file.with_name(f"{file.name}.new")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as opened:
            count = write_to(opened, records)
        unfinished.replace(file)
    except OSError as error:
        raise UnusableCsvError(f"{file}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return count


def write_to(stream: IO[str], records: Iterable[Record]) -> int:
    """Write header and rows to an open file; returns the number of rows."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007  # used after the loop
        writer.writerow((record.topic, record.payload.decode(), record.key or "", record.publish_ms))
    return count
