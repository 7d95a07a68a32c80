"""What was published: the CSV file and what Kafka has acknowledged of it, read once, in the order of the file.

For each record of the file eight bytes are kept, a digest of its payload, and for each one that was acknowledged
twelve, its number and time in the list of its lane.
"""

import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from webhookd_load_test.compare.filter_oracle import FilterOracle
from webhookd_load_test.compare.latencies import nearest_rank
from webhookd_load_test.compare.number_set import NumberSet
from webhookd_load_test.compare.sqlite_reader import reading
from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.records.csv_file import UnusableCsvError, read
from webhookd_load_test.run_folder.result import Missing, PublishResult
from webhookd_load_test.run_folder.units import NS_PER_MS, NS_PER_S

_PROGRESS_EVERY = 5_000

Advance: TypeAlias = Callable[[int], None]
"""Called with the number of records that are done, now and then."""

_WHITESPACE = b" \t\n\r"


class Lane(NamedTuple):
    """A partition."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class LaneRecords:
    """The acknowledged records of a lane, in the order of the file: their numbers, and when each was acknowledged."""

    __slots__ = ("acknowledged_ns", "numbers")

    def __init__(self) -> None:
        self.numbers = array("I")
        self.acknowledged_ns = array("q")


class PublishedRecords:
    """All records of the file, and which of them Kafka has acknowledged."""

    def __init__(self) -> None:
        self.acknowledged = NumberSet()
        self.lanes: dict[Lane, LaneRecords] = {}
        self.per_second: Counter[int] = Counter()
        self._digests = array("q")

    def __len__(self) -> int:
        """How many records the file has."""
        return len(self._digests)

    def has_value(self, number: int, value: bytes) -> bool:
        """Whether these are the bytes that were published; space around them does not count."""
        return self._digests[number] == digest(value)

    def add(self, payload: bytes) -> None:
        """Take the next record of the file."""
        self._digests.append(digest(payload))

    def acknowledge(self, number: int, lane: Lane, acknowledged_ns: int, second: int) -> None:
        """Take what Kafka said of a record."""
        self.acknowledged.add(number)
        self.per_second[second] += 1
        if (records := self.lanes.get(lane)) is None:
            records = self.lanes[lane] = LaneRecords()
        records.numbers.append(number)
        records.acknowledged_ns.append(acknowledged_ns)


def digest(value: bytes) -> int:
    """64 bits that are the same for the same value within this process."""
    return hash(value.strip(_WHITESPACE))


class _Acknowledged(NamedTuple):
    number: int
    topic: str
    partition: int
    acknowledged_ns: int


def load(csv: Path, published: Path, oracle: FilterOracle, began_ns: int, advance: Advance) -> PublishedRecords:
    """Read both files, and show each record to the oracle. Blocks; raises UnusableFolderError."""
    found = PublishedRecords()
    try:
        with reading(published) as connection:
            waiting = _rows(connection)
            after = _merge(csv, waiting, oracle, found, began_ns, advance)
    except UnusableCsvError as error:
        raise UnusableFolderError(str(error).removeprefix(f"{csv.parent}/")) from None
    if after is not None:
        raise UnusableFolderError(f"{published.name}: number {after.number}, but {csv.name} has {len(found)} records")
    return found


def _rows(connection: sqlite3.Connection) -> Iterator[_Acknowledged]:
    query = "SELECT number, topic, partition, acknowledged_ns FROM published ORDER BY number"
    return map(_Acknowledged._make, connection.execute(query))


def _merge(  # the two files, and where what they hold goes
    csv: Path,
    rows: Iterator[_Acknowledged],
    oracle: FilterOracle,
    found: PublishedRecords,
    began_ns: int,
    advance: Advance,
) -> _Acknowledged | None:
    """Read the two files side by side; returns the first acknowledged record that the CSV file does not have."""
    lanes: dict[tuple[str, int], Lane] = {}
    row = next(rows, None)
    for number, (topic, payload, _, _) in enumerate(read(csv)):
        found.add(payload)
        oracle.add(number, topic, payload)
        if number % _PROGRESS_EVERY == 0:
            advance(number)
        if row is None or row.number != number:
            continue
        if row.topic != topic:
            raise UnusableFolderError(f"published.sqlite: topic of number {number} is {row.topic}, not {topic}")
        lane = lanes.setdefault((topic, row.partition), Lane(topic, row.partition))
        found.acknowledge(number, lane, row.acknowledged_ns, (row.acknowledged_ns - began_ns) // NS_PER_S)
        row = next(rows, None)
    return row


def publish_result(published: Path, records: int) -> PublishResult:
    """How late the records were; `records` is how many the file has. Raises UnusableFolderError."""
    with reading(published) as connection:
        late = "SELECT max(0, sent_ns - due_ns) AS late_ns FROM published"
        longest = f"SELECT count(*), max(late_ns) FROM ({late})"  # noqa: S608 - both texts are from here
        count, longest_ns = connection.execute(longest).fetchone()
        p50_ns, p99_ns = (
            connection.execute(f"{late} ORDER BY 1 LIMIT 1 OFFSET ?", [nearest_rank(count, permille) - 1]).fetchone()
            or (0,)
            for permille in (500, 990)
        )
    return PublishResult(
        records=count,
        not_acknowledged=records - count,
        late_p50_ms=p50_ns[0] / NS_PER_MS,
        late_p99_ms=p99_ns[0] / NS_PER_MS,
        late_max_ms=(longest_ns or 0) / NS_PER_MS,
    )


def count_acknowledged(published: Path) -> int:
    """How many records Kafka has acknowledged. Raises UnusableFolderError."""
    with reading(published) as connection:
        count: int = connection.execute("SELECT count(*) FROM published").fetchone()[0]
    return count


def described(published: Path, numbers: Iterator[int]) -> list[Missing]:
    """The records of these numbers, as Kafka has acknowledged them. Raises UnusableFolderError."""
    query = 'SELECT number, topic, partition, "offset" FROM published WHERE number = ?'
    with reading(published) as connection:
        rows = [connection.execute(query, [number]).fetchone() for number in numbers]
    return [
        Missing(number=number, topic=topic, partition=partition, offset=offset)
        for number, topic, partition, offset in rows
    ]
