"""The records that the receiver has acknowledged, in the order of their arrival at all of its processes."""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from webhookd_load_test.compare.sqlite_reader import reading

_DELIVERED = """
SELECT q.received_ns, q.path, r.topic, r.partition, r."offset", r.timestamp_ms, CAST(r.key AS BLOB), r.number,
       CAST(r.value AS BLOB), p.number IS NOT NULL, ifnull(p.topic, r.topic), ifnull(p.partition, r.partition),
       ifnull(p."offset", r."offset"), CAST(p.key AS BLOB), p.sent_ns
FROM requests q
CROSS JOIN records r ON r.request = q.id
LEFT JOIN published.published p ON p.number = r.number
WHERE q.status BETWEEN 200 AND 299
ORDER BY q.id, r.position
"""
"""Read in the order of both primary keys, so that nothing is sorted. The cross join keeps the order of the tables."""

_REQUESTS = """
SELECT path, status BETWEEN 200 AND 299, signature = 'invalid', (received_ns - ?) / 1000000000, count(*)
FROM requests GROUP BY 1, 2, 3, 4
"""


class Delivery(NamedTuple):
    """A delivered record. What follows `value` is what Kafka has acknowledged of the record of this number.

    `true_topic`, `true_partition` and `true_offset` are as delivered where Kafka's are not known. `acknowledged` is 0
    or 1.
    """

    received_ns: int
    path: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    number: int | None
    value: bytes | None
    acknowledged: int
    true_topic: str
    true_partition: int
    true_offset: int
    true_key: bytes | None
    sent_ns: int | None

    @property
    def in_place(self) -> bool:
        """Whether topic, partition and offset are those that Kafka has acknowledged."""
        return (
            self.offset == self.true_offset and self.partition == self.true_partition and self.topic == self.true_topic
        )


class Requests:
    """Counts of requests, by path, and of those that were refused by the second of the run."""

    def __init__(self) -> None:
        self.invalid: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.refused_per_second: Counter[int] = Counter()

    def add(self, file: Path, began_ns: int) -> None:
        """Count those of one process. Raises UnusableFolderError."""
        with reading(file) as connection:
            for path, accepted, invalid, second, count in connection.execute(_REQUESTS, [began_ns]):
                if invalid:
                    self.invalid[path] += count
                if not accepted:
                    self.refused[path] += count
                    self.refused_per_second[second] += count


def count_records(files: Sequence[Path]) -> int:
    """How many records the files have. Raises UnusableFolderError."""
    total = 0
    for file in files:
        with reading(file) as connection:
            total += connection.execute("SELECT count(*) FROM records").fetchone()[0]
    return total


def arriving(files: Sequence[Path], published: Path) -> Iterator[Delivery]:
    """The deliveries of all processes: by time between them, by their own order in each. Raises UnusableFolderError."""
    return heapq.merge(*(_of_process(file, published) for file in files), key=itemgetter(0))


def _of_process(file: Path, published: Path) -> Iterator[Delivery]:
    with reading(file) as connection:
        connection.execute("ATTACH ? AS published", [f"{published.resolve().as_uri()}?mode=ro"])
        yield from map(Delivery._make, connection.execute(_DELIVERED))
