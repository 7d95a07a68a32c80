"""What the benchmark's cases share: sizes, receivers, and the checks by which a case fails."""

from dataclasses import dataclass
from typing import Protocol

from webhookd_load_test.benchmarks.cases.result_table import Row
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.process_usage import Usage

WARM_UP_S = 1.5
"""From the first request on: the size of deliveries adapts to the endpoint within two or three of them."""

START_TIMEOUT_S = SHORT_TIMEOUT_S = 120.0
"""These timeouts end a stuck case, and are long enough for a much slower machine; they are no measurements."""

OURS = ("ingest", "worker")


class CaseFailedError(Exception):
    """A case delivered nothing, not all records, or out of order; the message begins with the case's name."""


class Sink(Protocol):
    """The receiver of all cases that have no receiver of their own."""

    def url(self, path: str, *, tls: bool = False) -> str:
        """The URL for a path; the order is checked per path."""

    def requests(self) -> int:
        """How many requests have arrived so far."""

    def records(self, batch: int) -> int:
        """How many records have arrived so far, with `batch` records in a request."""

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Raises CaseFailedError unless exactly `records` records have arrived, once and in order."""


@dataclass(frozen=True, slots=True)
class NginxSink:
    """nginx: counts requests only, so that the receiver is never the bottleneck."""

    rig: Rig

    def url(self, path: str, *, tls: bool = False) -> str:
        """The URL for a path."""
        return (self.rig.nginx.https_url if tls else self.rig.nginx.address) + path

    def requests(self) -> int:
        """How many requests have arrived so far."""
        return self.rig.nginx_requests()

    def records(self, batch: int) -> int:
        """Assumes that every batch was full."""
        return self.requests() * batch

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Nginx does not see records: nothing to check."""


@dataclass(frozen=True, slots=True)
class CheckingSink:
    """The checking receiver: counts each record. Over TLS, nginx passes requests on to it."""

    rig: Rig
    receiver: CheckingReceiver

    def url(self, path: str, *, tls: bool = False) -> str:
        """The URL for a path."""
        return (self.rig.nginx.pass_url(self.receiver.port) if tls else self.receiver.url) + path

    def requests(self) -> int:
        """How many requests have arrived so far."""
        return self.receiver.report().requests

    def records(self, batch: int) -> int:
        """The count of the receiver."""
        del batch
        return self.receiver.report().records

    def check(self, name: str, records: int, *, gaps: bool) -> None:
        """Check order and count; `gaps` allows gaps, where a filter drops records."""
        seen = self.receiver.report()
        check_order(name, seen, gaps=gaps)
        check_all(name, seen, records, gaps=gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The parameters of a run. `backlog` is the number of records in the backlog's topic.

    `short` runs each case with few records and to its end, as a test. Topics of the cases begin with `prefix`.
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
        """How long to wait before the measurement."""
        return 0.0 if self.short else WARM_UP_S

    def size_for(self, usual: int, short: int) -> int:
        """The usual size, or that of the short form."""
        return short if self.short else usual

    def duration_s(self, seconds: float) -> float:
        """The measuring time of a case that needs at least `seconds`."""
        return self.seconds if self.short else max(seconds, self.seconds)


def row_of(name: str, start: Usage, end: Usage, counts: tuple[int, int], goal: tuple[str, float]) -> Row:
    """The row of a case, from its usage and its counts of requests and records. Raises CaseFailedError without any."""
    require(min(counts) > 0, f"{name}: nothing was delivered while it was measured")
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


def order(seen: ReceiverReport) -> str:
    """A checking receiver's report on the order, as text."""
    return f"{seen.missing} gaps, {seen.out_of_order} out of order, {seen.duplicates} duplicates"


def check_order(name: str, seen: ReceiverReport, *, gaps: bool = False) -> None:
    """Raises CaseFailedError when records arrived out of order, twice or not at all, although no process was killed."""
    faults = seen.out_of_order + seen.duplicates + (0 if gaps else seen.missing)
    require(not faults, f"{name}: {order(seen)}")


def check_all(name: str, seen: ReceiverReport, records: int, *, gaps: bool = False) -> None:
    """Raises CaseFailedError unless exactly `records` records arrived, counted from each lane's first offset."""
    count = seen.records if gaps else seen.arrived
    require(count == records, f"{name}: {count} of {records} records came")


def require(held: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    """Raises CaseFailedError with the message unless `held`."""
    if not held:
        raise CaseFailedError(f"{message}; see {LOGS}")
