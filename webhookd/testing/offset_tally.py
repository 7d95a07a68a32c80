"""Counts what one endpoint has received: distinct records, duplicates, order and latency."""

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

PartitionKey = tuple[str, int]


class Received(msgspec.Struct, frozen=True):
    """The fields of one element of `messages` that a receiver needs."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Body(msgspec.Struct, frozen=True):
    """The body of one request."""

    messages: list[Received]


class Offsets:
    """A set of offsets per partition, one byte each, so that a long run fits in memory."""

    def __init__(self) -> None:
        self._present: defaultdict[PartitionKey, bytearray] = defaultdict(bytearray)
        self._count = 0

    def __len__(self) -> int:
        """How many offsets it holds."""
        return self._count

    def add(self, partition: PartitionKey, offset: int) -> bool:
        """Add an offset; returns whether it is new."""
        present = self._present[partition]
        if offset >= len(present):
            present.extend(bytes(offset + 1024 - len(present)))
        if present[offset]:
            return False
        present[offset] = 1
        self._count += 1
        return True

    def ends(self) -> dict[PartitionKey, int]:
        """Return the offset after the highest one of each partition."""
        return {key: present.rfind(1) + 1 for key, present in self._present.items()}

    def minus(self, other: "Offsets") -> int:
        """How many of these offsets the other set does not have."""
        return sum(_missing(present, other._present.get(key, b"")) for key, present in self._present.items())  # noqa: SLF001 - its own class


def _missing(present: Sequence[int], others: Sequence[int]) -> int:
    shared = sum(1 for mine, theirs in zip(present, others, strict=False) if mine and not theirs)
    return shared + sum(present[len(others) :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of the time from a record's timestamp to its arrival; None without measurements."""

    p50_s: float | None
    p99_s: float | None


class Tally:
    """Counts for one endpoint. Not thread-safe: the receiver counts one request at a time."""

    def __init__(self) -> None:
        self.requests = 0
        self.delivered = Offsets()
        self.duplicates = 0
        self.out_of_order = 0
        self.measuring = True
        self._highest: dict[PartitionKey, int] = {}
        self._late_s = array("f")

    def add(self, messages: Sequence[Received], now: float) -> None:
        """Count one request; `now` is in seconds since the epoch."""
        self.requests += 1
        for message in messages:
            partition = (message.topic, message.partition)
            if not self.delivered.add(partition, message.offset):
                self.duplicates += 1
                continue
            if message.offset < self._highest.get(partition, -1):
                self.out_of_order += 1
            self._highest[partition] = max(message.offset, self._highest.get(partition, -1))
            if self.measuring:
                self._late_s.append(now - message.timestamp / 1000)

    def latency(self) -> Latency:
        """The percentiles up to now."""
        ordered = sorted(self._late_s)
        if not ordered:
            return Latency(p50_s=None, p99_s=None)
        return Latency(p50_s=ordered[len(ordered) // 2], p99_s=ordered[len(ordered) * 99 // 100])


Tallies = Mapping[str, Tally]
"""Tallies by the path of the endpoint."""
