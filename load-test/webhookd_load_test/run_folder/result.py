"""The result of a comparison, as JSON: for each subscription what is missing, what came again, and how late."""

from pathlib import Path
from typing import Literal

import msgspec

from webhookd_load_test.run_folder import whole_file

DeviationKind = Literal["unexpected", "place", "key", "value"]


class Missing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that was acknowledged by Kafka, that the subscription wants, and that did not arrive."""

    number: int
    topic: str
    partition: int
    offset: int | None


class Disorder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that arrived for the first time after a later one of its partition, or of its key."""

    number: int
    topic: str
    partition: int
    offset: int
    after_offset: int
    by: str
    """`partition` or `key`."""


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delivery that should have been another one, with the place that it named.

    unexpected  the subscription does not want the record, or nobody published it
    place       not the topic, partition or offset that Kafka acknowledged
    key, value  not what was published
    """

    kind: DeviationKind
    number: int | None
    topic: str
    partition: int
    offset: int


class Latency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milliseconds from the append of a record to its first delivery."""

    min_ms: float
    average_ms: float
    max_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float


class SubscriptionResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one subscription got. The lists show the first LISTED ones; the counts are exact.

    `expected` are the distinct records that it wants, `delivered` those of them that arrived. `unexpected` arrived
    although its filters drop them, or nobody published them. `duplicates` are deliveries of a record after its first.
    `disorders` are first deliveries after that of a later record of the partition; `key_disorders` are those of them
    in which the later record had the same key. `longest_stall_s` is the longest time in which one lane (a partition)
    had a record and none arrived.

    `undecided` are records that its filters cannot judge, or that are not JSON: webhookd delivers none of them.
    `unacknowledged` were delivered although Kafka had not acknowledged them, as after the end of a producer; that is no
    fault. `wrong_places`, `wrong_keys` and `wrong_values` are deliveries. `refused` are the requests that the receiver
    did not answer with 2xx.
    """

    id: str
    name: str
    expected: int
    delivered: int
    lost: int
    unexpected: int
    duplicates: int
    disorders: int
    invalid_signatures: int
    latency: Latency | None
    longest_stall_s: float
    longest_stall_lane: str
    missing: list[Missing] = []
    disorder: list[Disorder] = []
    key_disorders: int = 0
    undecided: int = 0
    unacknowledged: int = 0
    wrong_places: int = 0
    wrong_keys: int = 0
    wrong_values: int = 0
    refused: int = 0
    deviations: list[Deviation] = []

    @property
    def wrong(self) -> int:
        """How much happened that may never happen."""
        return self.lost + self.unexpected + self.disorders + self.altered

    @property
    def altered(self) -> int:
        """Deliveries with another place, key or value than was published, and requests with an invalid signature."""
        return self.wrong_places + self.wrong_keys + self.wrong_values + self.invalid_signatures


LISTED = 100


class Second(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One second of the run, counted from its begin: what came in, what went out, and how long that took."""

    at_s: int
    published: int = 0
    received: int = 0
    """Records that were delivered, duplicates included."""

    duplicates: int = 0
    refused: int = 0
    """Requests that the receiver did not answer with 2xx."""

    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_p99_ms: float | None = None


class PublishResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was published. `late` is how long after their time in the file records were handed to the producer."""

    records: int
    not_acknowledged: int
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result of a run. `passed` is the verdict; `faults` says in a sentence each why not.

    `latency` is that of all subscriptions whose endpoint does not fail on purpose, or of all if there are no others.
    Throughput is in deliveries a second, from the first to the last.
    `partial`: the run ended early, so that what is lost may only be late. `latency_from_publish` is from the moment
    at which a record was handed to the producer. `elsewhere` are records of the run that were delivered to paths of no
    subscription.
    """

    passed: bool
    faults: list[str]
    publish: PublishResult
    subscriptions: list[SubscriptionResult]
    latency: Latency | None
    throughput_per_s: float
    seconds: list[Second] = []
    partial: bool = False
    latency_from_publish: Latency | None = None
    elsewhere: int = 0


def write(file: Path, result: Result) -> None:
    """Write the result, so that a reader sees the old or the new document."""
    whole_file.write(file, msgspec.json.format(msgspec.json.encode(result), indent=1))


def read(file: Path) -> Result:
    """Read the result. Raises msgspec.ValidationError with the field, OSError without the file."""
    return msgspec.json.decode(file.read_bytes(), type=Result)
