"""Records read back from a rendered batch are those that Kafka returned."""

import sys

import pytest

from tests.harness.lanes import FAILED, WANTED, Record, lane
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch

HEADERS = (("trace", b"1"), ("trace", b"\xff"), ("none", None))


@pytest.mark.parametrize(
    "record",
    [
        Record(7, b'{"big": 12345678901234567890123, "twice": 1, "twice": 2}', b"key", HEADERS),
        Record(8, b' "text" ', b"\xfe\x00"),
        Record(9, None, None),
        Record(10, b"[1.50]", b""),
        Record(11, rb'{"t":"\ud83d"}', rb'"\ud83d', ((r"\ud83d", rb"\ud83d"), ("half", b"\xed\xa0\xbd"))),
        Record(12, b"[1e999, 1.5e-400, -0.0, " + b"9" * 4000 + b"]"),
        Record(13, b'\t{"messages":[{"topic":"orders","value":1}],"}]{":"\\\\"} \r\n'),
    ],
)
def test_record_is_read_back_unchanged(record: Record) -> None:
    of = lane(3)
    of.take([record], WANTED, 0.0)
    batch = of.form_batch(1, 1)
    delivery = Delivery(id="d", subscription_id="s", version=1, lanes=(of,), batches=[batch])
    (dead_letter,) = ExhaustedBatch(delivery=delivery, batch=batch, failure=FAILED, attempts=6).dead_letters()
    assert (dead_letter.partition, dead_letter.offset, dead_letter.timestamp_ms) == (
        of.partition,
        record.at,
        1_700_000_000_000 + record.at,
    )
    assert (dead_letter.key, dead_letter.headers, dead_letter.attempts) == (record.name, record.pairs, 6)
    assert dead_letter.value == record.body


def test_value_of_the_greatest_depth_is_read_back() -> None:
    of, depth = lane(0), sys.getrecursionlimit()
    matcher = Matcher(())
    while True:
        depth -= 1
        _, undecodable = of.take([Record(depth_offset(depth), b"[" * depth + b"]" * depth)], matcher, 0.0)
        if not undecodable:
            break
    batch = of.form_batch(1, 1)
    delivery = Delivery(id="d", subscription_id="s", version=1, lanes=(of,), batches=[batch])
    assert len(ExhaustedBatch(delivery=delivery, batch=batch, failure=None, attempts=3).dead_letters()) == 1


def depth_offset(depth: int) -> int:
    return 100_000 - depth
