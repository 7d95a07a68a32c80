"""Generates the records of a load, one after the other: no memory is used for those before.

The same arguments give the same records, byte for byte, on every machine and with every Python from 3.11 on. Of the
module `random`, only `Random.random()` with an integer as seed is used: its sequence is the one that Python guarantees
for later versions. All else is integer arithmetic, or floating-point products and quotients, which are the same on all
processors.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from webhookd_load_test.records.zipf import chooser

TENANTS = 1000
"""The key with number k belongs to the tenant k modulo TENANTS."""

PAID_SHARE = 0.1
"""The share of records with the status `paid`, for a filter that keeps one in ten."""

OTHER_STATUSES = ("open", "shipped", "cancelled")
TYPES = ("order.created", "order.updated")

SMALLEST_PAYLOAD_BYTES = 128
"""Room for all fields, up to a billion rows."""

LARGEST_PAYLOAD_BYTES = 16 * 1024 * 1024


class Record(NamedTuple):
    """A record, and when it is published: milliseconds after the load began."""

    topic: str
    payload: bytes
    key: str | None
    publish_ms: int


def topic_names(count: int, prefix: str = "load-test") -> list[str]:
    """The names of the topics of a load."""
    return [f"{prefix}-{number}" for number in range(count)]


def generate(
    *,
    rows: int,
    duration_ms: int,
    topics: Sequence[str],
    payload_bytes: int = 300,
    keys: int = 1000,
    skew: float = 0.0,
    seed: int = 1,
) -> Iterator[Record]:
    """Generate `rows` records; their times ascend, and the last one is before `duration_ms`.

    The duration is divided into as many equal parts as there are rows; each record is published at a random moment of
    its part. Topic, key, status and type are chosen at random. `skew` is the exponent of the keys' Zipf distribution; 0
    makes all equally frequent. The payload is a JSON object of `payload_bytes` bytes.
    """
    if payload_bytes < SMALLEST_PAYLOAD_BYTES:
        raise ValueError(f"payload_bytes is {payload_bytes}, and the fields need {SMALLEST_PAYLOAD_BYTES}")
    chance = random.Random(seed).random  # noqa: S311 - the same file for the same seed
    key_of = chooser(keys, skew)
    for number in range(rows):
        publish_ms = int((number + chance()) * duration_ms / rows)
        topic = topics[int(chance() * len(topics))]
        key = key_of(chance())
        payload = _payload(number, key % TENANTS, chance, payload_bytes)
        yield Record(topic, payload, f"key-{key}", min(publish_ms, duration_ms - 1))


def _payload(number: int, tenant: int, chance: Callable[[], float], size: int) -> bytes:
    drawn = chance()
    status = "paid" if drawn < PAID_SHARE else OTHER_STATUSES[int(chance() * len(OTHER_STATUSES))]
    kind = TYPES[int(chance() * len(TYPES))]
    total = int(chance() * 100_000)
    fields = (
        f'{{"id":{number},"type":"{kind}","status":"{status}","tenant":{tenant},'
        f'"total":{total // 100}.{total % 100:02},"note":"'
    )
    return f'{fields}{"x" * (size - len(fields) - 2)}"}}'.encode("ascii")
