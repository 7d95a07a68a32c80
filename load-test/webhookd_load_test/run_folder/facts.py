"""What was run, and on what: settings, subscriptions, events, versions, machine and headroom, as one JSON document."""

import math
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from webhookd_load_test.run_folder import whole_file

EventKind = Literal["broker", "process", "receiver", "run"]

LEAST_HEADROOM = 1.5
"""How many times as fast as a run needs them producer and receiver must be, so that its figures are webhookd's."""


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
    def sides(self) -> list["HeadroomSide"]:
        """Producer and receiver."""
        return [
            HeadroomSide("producer", self.producer_per_s, self.needed_producer_per_s),
            HeadroomSide("receiver", self.receiver_per_s, self.needed_receiver_per_s),
        ]


class HeadroomSide(NamedTuple):
    """What one side does alone, and what the scenario needs of it, in records a second."""

    name: str
    alone_per_s: float
    needed_per_s: float

    @property
    def factor(self) -> float:
        """How many times as fast as needed; infinite when nothing is needed."""
        return self.alone_per_s / self.needed_per_s if self.needed_per_s > 0 else math.inf

    @property
    def enough(self) -> bool:
        """Whether the side is fast enough."""
        return self.factor >= LEAST_HEADROOM


class RunFacts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Facts of one run. Times are nanoseconds since the epoch.

    `settings` are the scenario's, by their names in its file. `versions` and `machine` are for people. `complete` is
    False when the run ended early, and `reason` says by what. `undrained` says which subscriptions had not committed
    everything when the bound ended; empty: none.
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
    whole_file.write(file, msgspec.json.format(msgspec.json.encode(facts), indent=2))


def read(file: Path) -> RunFacts:
    """Read the facts. Raises msgspec.ValidationError with the field, OSError without the file."""
    return msgspec.json.decode(file.read_bytes(), type=RunFacts)
