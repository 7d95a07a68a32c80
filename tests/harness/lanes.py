"""Builders for the unit tests of the flow: Kafka records, lanes, batch accumulators, reports."""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.harness.subscriptions import ID, subscription
from webhookd.errors import UndecodableRecord
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.dispatch.accumulator import BatchAccumulator, DeliveryLimits
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.dispatch.dispatch_pace import DispatchPace
from webhookd.flow.dispatch.request_quota import Quota
from webhookd.flow.offsets.position import Partition
from webhookd.flow.settlement.delivery_timeouts import DeliveryTimeouts
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.subscription import Batching, OnExhausted, Retry

TOPIC = "orders"
LIMITS = DeliveryLimits(delivery_bytes=4 * 1024 * 1024, delivery_target_s=0.25)
TIMEOUTS = DeliveryTimeouts(claim_timeout_s=10.0, lease_s=5.0, request_deadline_s=15.0)
FAILED = LoggedExchange(0.0, "msg_0", 500, error="http_500")
MIDDLE = 0.5
"""The random number that means no jitter."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka message with the contents that a test gives it."""

    at: int
    body: bytes | None = b'{"n":1}'
    name: bytes | None = None
    pairs: tuple[tuple[str, bytes | None], ...] = ()

    def offset(self) -> int | None:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000 + self.at

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.body

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.pairs) or None


class ValueMatcher:
    """A matcher that drops the value `drop`, cannot decode the value `bad`, and accepts all others."""

    def matches(self, value: bytes | None) -> bool:
        if value == b'"bad"':
            raise UndecodableRecord("not_json", "as the test says")
        return value != b'"drop"'


WANTED = ValueMatcher()


def records(*offsets: int, size_bytes: int = 0) -> list[Record]:
    """Records that match, each at least so large."""
    return [Record(offset, b'"%b"' % (b"x" * size_bytes) if size_bytes else b'{"n":1}') for offset in offsets]


def tokens(of: str) -> Callable[[], str]:
    """Tokens that differ from each other and are the same in every run."""
    numbers = itertools.count(1)
    return lambda: f"{of}{next(numbers)}"


def lane(number: int = 0) -> Lane:
    """A lane that has read nothing."""
    return Lane(ID, Partition(TOPIC, number), epoch="epoch", throughput=ThroughputEstimate(LIMITS.delivery_target_s))


def accumulator(
    lanes: int = 1,
    *,
    size: int = 1,
    interval_s: float = 1.0,
    limits: DeliveryLimits = LIMITS,
    on_exhausted: OnExhausted = OnExhausted.PAUSE,
    max_bytes: int | None = None,
    pace: DispatchPace | None = None,
    id_: str = ID,
) -> BatchAccumulator:
    """A batch accumulator with so many open lanes of one topic."""
    batching = Batching(max_batch_size=size, max_batch_interval_s=interval_s, max_batch_bytes=max_bytes)
    made = BatchAccumulator(
        subscription(id_, batching=batching, retry=Retry(on_exhausted=on_exhausted)),
        {TOPIC: WANTED},
        limits,
        tokens("delivery"),
        pace,
    )
    for number in range(lanes):
        made.open_lane(Partition(TOPIC, number))
    return made


def paced_accumulator(quotas: Sequence[Quota], lanes: int = 1, *, size: int = 1) -> BatchAccumulator:
    """A batch accumulator of a subscription with these quotas."""
    return accumulator(lanes, size=size, pace=DispatchPace(quotas, LIMITS.delivery_target_s))


def lane_of(of: BatchAccumulator, number: int = 0) -> Lane:
    """One of its lanes."""
    return of.lanes[TOPIC, number]


def fill(into: BatchAccumulator, number: int, offsets: Iterable[int], now: float = 0.0) -> None:
    """Records that match arrive in one lane."""
    lane_of(into, number).take(records(*offsets), WANTED, now)


def in_flight_deliveries(chance: float = MIDDLE) -> InFlightDeliveries:
    """Nothing in flight yet."""
    return InFlightDeliveries(TIMEOUTS, tokens("again"), lambda: chance)


def about(delivery: Delivery, kind: ReportKind, done: int = 0, **facts: Any) -> Report:  # noqa: ANN401  # a report's fields
    """A report about the current attempt."""
    return Report(kind, delivery.id, delivery.attempt, done, **facts)


def offsets_in(body: bytes) -> list[tuple[int, int]]:
    """Partition and offset of each record in a request's body, in its order."""
    return [(message["partition"], message["offset"]) for message in json.loads(body)["messages"]]


def offsets_of(delivery: Delivery) -> list[list[int]]:
    """The offsets of each batch of a delivery of one lane."""
    return [[offset for _, offset in offsets_in(batch.body)] for batch in delivery.batches]
