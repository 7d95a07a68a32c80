"""What the benchmark's cases share: their sizes, where they deliver to, and when one has failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from measure import Usage
from rig import LOGS, Receiver, Rig
from table import Row

WARM_UP_S = 1.5
"""From the first request on: deliveries grow to the endpoint's pace within two or three of them."""

START_TIMEOUT_S = SHORT_TIMEOUT_S = 120.0
"""Nothing is measured by these: they are for a machine that is many times slower, and end a case that is stuck."""

OURS = ("ingest", "worker")


class CaseFailedError(Exception):
    """A case delivered nothing, not all, or out of order; the text begins with its name."""


class Sink(Protocol):
    """What the cases without a receiver of their own deliver to."""

    def url(self, path: str, *, tls: bool = False) -> str:
        """Where requests go; every path has an order of its own."""

    def requests(self) -> int:
        """How many requests have come so far."""

    def records(self, batch: int) -> int:
        """How many records have come so far, when they came `batch` to a request."""

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Raise CaseFailedError unless so many records have come, once and in order."""


@dataclass(frozen=True, slots=True)
class NginxSink:
    """Counts requests, and nothing else: it is never what is measured."""

    rig: Rig

    def url(self, path: str, *, tls: bool = False) -> str:
        """Where requests go."""
        return (self.rig.nginx.https_url if tls else self.rig.nginx.address) + path

    def requests(self) -> int:
        """How many requests have come so far."""
        return self.rig.nginx_requests()

    def records(self, batch: int) -> int:
        """As many as the requests had room for."""
        return self.requests() * batch

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Nothing is known of them."""


@dataclass(frozen=True, slots=True)
class CheckingSink:
    """Knows each record; over TLS nginx passes requests on to it."""

    rig: Rig
    receiver: Receiver

    def url(self, path: str, *, tls: bool = False) -> str:
        """Where requests go."""
        return (self.rig.nginx.pass_url(self.receiver.port) if tls else self.receiver.url) + path

    def requests(self) -> int:
        """How many requests have come so far."""
        return int(self.receiver.report()["requests"])

    def records(self, batch: int) -> int:
        """Each was counted."""
        del batch
        return int(self.receiver.report()["records"])

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Gaps are right where a filter drops records."""
        seen = self.receiver.report()
        check_order(name, seen, gaps=gaps)
        check_all(name, seen, records, gaps=gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`backlog` counts the records of the backlog's topic. `short` runs each case small and to its end, as a test.

    What a case creates in Kafka is named with the prefix.
    """

    rig: Rig
    sink: Sink
    backlog: int
    seconds: float
    short: bool = False
    prefix: str = ""

    def topic(self, name: str) -> str:
        """The topic of that name."""
        return self.prefix + name

    @property
    def warm_up_s(self) -> float:
        """Before anything is measured."""
        return 0.0 if self.short else WARM_UP_S

    def usually(self, usual: int, short: int) -> int:
        """The size, or that of the short form."""
        return short if self.short else usual

    def at_least(self, seconds: float) -> float:
        """How long a case that needs so long is measured."""
        return self.seconds if self.short else max(seconds, self.seconds)


def row_of(name: str, start: Usage, end: Usage, counts: tuple[int, int], goal: tuple[str, float]) -> Row:
    """The row of a case in which so many requests and records came. Raises CaseFailedError when none did."""
    must(min(counts) > 0, f"{name}: nothing was delivered while it was measured")
    return Row(
        name=name,
        elapsed_s=end.at - start.at,
        requests=counts[0],
        records=counts[1],
        each=goal[0],
        target=goal[1],
        cpu_s={process: end.cpu_s[process] - start.cpu_s[process] for process in end.cpu_s},
        resident_bytes={process: end.resident_bytes[process] for process in OURS},
    )


def order(seen: Mapping[str, Any]) -> str:
    """What a checking receiver says of the order."""
    return f"{seen['missing']} gaps, {seen['rewinds']} out of order, {seen['duplicates']} duplicates"


def check_order(name: str, seen: Mapping[str, Any], *, gaps: bool = False) -> None:
    """Raise CaseFailedError when records came out of order, twice or not at all, although nothing died."""
    faults = seen["rewinds"] + seen["duplicates"] + (0 if gaps else seen["missing"])
    must(not faults, f"{name}: {order(seen)}")


def check_all(name: str, seen: Mapping[str, Any], records: int, *, gaps: bool = False) -> None:
    """Raise CaseFailedError unless exactly so many records came, counted from each lane's first offset on."""
    came = seen["records"] if gaps else arrived(seen)
    must(came == records, f"{name}: {came} of {records} records came")


def arrived(seen: Mapping[str, Any]) -> int:
    """How many records came, from the lanes' first offsets on."""
    lanes: Mapping[str, tuple[int, int]] = seen["received_ends"]
    return sum(high - first for first, high in lanes.values())


def must(held: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    """Raise CaseFailedError unless it held."""
    if not held:
        raise CaseFailedError(f"{otherwise}; see {LOGS}")
