"""Samples of a run, about one a second: each is a JSON document in a line of its own."""

from collections.abc import Iterator
from pathlib import Path

import msgspec


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process with its children. `cpu_s` is since their start."""

    cpu_s: float
    resident_bytes: int
    descriptors: int


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state at one moment; `at_ns` is since the epoch.

    `published` counts records that Kafka has acknowledged, `received` those that were delivered, duplicates included,
    and `lag` is the records of all subscriptions that are not committed yet; None when it is not known.
    """

    at_ns: int
    processes: dict[str, ProcessSample] = {}
    published: int = 0
    received: int = 0
    lag: int | None = None


def read(file: Path) -> Iterator[Sample]:
    """The samples of a run, in their order; a last line that is not complete is left out."""
    decode = msgspec.json.Decoder(Sample).decode
    with file.open("rb") as lines:
        yield from (decode(line) for line in lines if line.endswith(b"\n"))


def append(file: Path, sample: Sample) -> None:
    """Add a sample."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(sample) + b"\n")
