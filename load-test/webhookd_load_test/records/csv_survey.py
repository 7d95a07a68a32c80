"""Reads the whole CSV file of a load before it is published: checks every line, and counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webhookd_load_test.records.csv_file import Lines, UnusableCsvError, rows

SURVEYED_ROWS = 10_000
"""After how many rows a survey calls its caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSurvey:
    """What a whole file has. `last_ms` is the time of its last record, `digest` the SHA-256 of its bytes."""

    rows: int
    topics: Sequence[str]
    last_ms: int
    digest: str


def survey(file: Path, watch: Callable[[int], None] = lambda _read_bytes: None) -> CsvSurvey:
    """Read the whole file, and check every line; calls `watch` with the bytes read so far.

    Raises UnusableCsvError, also for a file without rows. Blocks: ten million rows take about half a minute.
    """
    try:
        with file.open("rb") as opened:
            found = _surveyed(file, Lines(file, opened), watch)
    except OSError as error:
        raise UnusableCsvError(f"{file}: {error.strerror}") from None
    if not found.rows:
        raise UnusableCsvError(f"{file}: has a header and no rows")
    return found


def _surveyed(file: Path, lines: Lines, watch: Callable[[int], None]) -> CsvSurvey:
    count, topics, last_ms = 0, set(), 0
    for count, row in enumerate(rows(file, lines), 1):
        topics.add(row.record.topic)
        last_ms = row.record.publish_ms
        if count % SURVEYED_ROWS == 0:
            watch(lines.read_bytes)
    return CsvSurvey(rows=count, topics=sorted(topics), last_ms=last_ms, digest=lines.digest)
