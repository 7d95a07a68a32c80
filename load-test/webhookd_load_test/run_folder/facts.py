"""What was run, and on what: settings, subscriptions, events, versions, machine and headroom, as one JSON document."""

from pathlib import Path
from typing import Literal

import msgspec

EventKind = Literal["broker", "process", "receiver", "run"]


class RunSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription of the run. Each has a path of its own at the receiver, so that `path` identifies it.

    `faulty`: its endpoint fails on purpose, so that the bound of stalls does not hold for it.
    """

    id: str
    name: str
    path: str
    topics: list[str]
    filters: list[str] = []
    batch: int = 1
    faulty: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened during the run. `at_ns` and `until_ns` are since the epoch; 0: it took no time."""

    at_ns: int
    kind: EventKind
    text: str
    until_ns: int = 0


class Headroom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast producer and receiver are alone, in records a second, and what the scenario needs of them."""

    producer_per_s: float
    receiver_per_s: float
    needed_producer_per_s: float
    needed_receiver_per_s: float

    @property
    def factor(self) -> float:
        """The lesser of the two ratios."""
        return min(
            self.producer_per_s / self.needed_producer_per_s,
            self.receiver_per_s / self.needed_receiver_per_s,
        )


class RunFacts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Facts of one run. Times are nanoseconds since the epoch.

    `settings` are the scenario's, by their names in its file. `versions` and `machine` are for people. `complete` is
    False when the run was interrupted, and `reason` says by what.
    `undrained` says which subscriptions had not committed everything when the bound ended; empty: none.
    """

    scenario: str
    summary: str
    began_ns: int
    published_ns: int = 0
    ended_ns: int = 0
    complete: bool = False
    reason: str = ""
    undrained: str = ""
    partitions: dict[str, int] = {}
    subscriptions: list[RunSubscription] = []
    events: list[Event] = []
    settings: dict[str, str] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
    headroom: Headroom | None = None
    flat: dict[str, str] = {}
    """What of memory and descriptors was not flat, by process, if the scenario asks for that; empty: all was."""


def write(file: Path, facts: RunFacts) -> None:
    """Write the facts, so that a reader sees the old or the new document."""
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))
    unfinished.replace(file)


def read(file: Path) -> RunFacts:
    """Read the facts. Raises msgspec.ValidationError with the field, OSError without the file."""
    return msgspec.json.decode(file.read_bytes(), type=RunFacts)
