"""The records of a load: the same for the same arguments, of the right size, in the right shares."""

import hashlib
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from webhookd_load_test.records import csv_file, csv_survey, csv_writer
from webhookd_load_test.records.generate import SMALLEST_PAYLOAD_BYTES, Record, generate, topic_names
from webhookd_load_test.records.zipf import chooser

GOLDEN = "200cbd3beb22bc646970e0896376022e44894666b18344a39332ac9f581d0c1e"
"""Of a file that Python 3.11 wrote. When it changes, files that were generated before cannot be generated again."""


def some(rows: int = 2000, **changed: Any) -> Iterator[Record]:  # noqa: ANN401  # fields of several types
    fields: dict[str, Any] = {"duration_ms": 60_000, "topics": topic_names(3), "seed": 7, **changed}
    return generate(rows=rows, **fields)


def test_file_is_the_one_that_earlier_versions_made(tmp_path: Path) -> None:
    csv_writer.write(tmp_path / "records.csv", some(skew=1.1, keys=50, payload_bytes=200))
    assert hashlib.sha256((tmp_path / "records.csv").read_bytes()).hexdigest() == GOLDEN


def test_random_numbers_are_those_that_python_guarantees() -> None:
    chance = random.Random(7)  # noqa: S311  # seeded on purpose
    assert [chance.random(), chance.random()] == [0.32383276483316237, 0.15084917392450192]


def test_same_seed_same_records() -> None:
    assert list(some()) == list(some())
    assert list(some()) != list(some(seed=8))


def test_times_ascend_and_are_spread_over_the_duration() -> None:
    times = [record.publish_ms for record in some()]
    assert all(before <= after for before, after in pairwise(times))
    assert [number * 30 <= time < (number + 1) * 30 for number, time in enumerate(times)] == [True] * 2000
    assert len({time % 30 for time in times}) == 30


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_many_rows_fit_in_a_short_duration(rows: int) -> None:
    assert {record.publish_ms for record in some(rows, duration_ms=3)} <= {0, 1, 2}


@pytest.mark.parametrize("size", [SMALLEST_PAYLOAD_BYTES, 300, 100_000])
def test_payload_is_json_of_the_wanted_size(size: int) -> None:
    for record in some(50, payload_bytes=size):
        assert len(record.payload) == size
        assert set(json.loads(record.payload)) == {"id", "type", "status", "tenant", "total", "note"}


def test_largest_fields_fit_in_the_smallest_payload() -> None:
    fields = json.loads(next(some(1, payload_bytes=SMALLEST_PAYLOAD_BYTES)).payload)
    largest = {"id": 999_999_999, "type": "order.updated", "status": "cancelled", "tenant": 999, "total": 999.99}
    assert fields.keys() - largest.keys() == {"note"}
    assert len(json.dumps({**largest, "note": ""}, separators=(",", ":"))) <= SMALLEST_PAYLOAD_BYTES


def test_smaller_payload_is_refused() -> None:
    with pytest.raises(ValueError, match="payload_bytes is 127, and the fields need 128"):
        next(some(payload_bytes=127))


def test_fields_suit_filters() -> None:
    records = [json.loads(record.payload) for record in some(10_000)]
    assert [record["id"] for record in records] == list(range(10_000))
    statuses = Counter(record["status"] for record in records)
    assert set(statuses) == {"paid", "open", "shipped", "cancelled"}
    assert 900 < statuses["paid"] < 1100


def test_tenant_is_that_of_the_key() -> None:
    for record in some(keys=2500):
        assert record.key is not None
        assert json.loads(record.payload)["tenant"] == int(record.key.removeprefix("key-")) % 1000


def test_topics_and_keys_are_equally_frequent_without_skew() -> None:
    records = list(some(9000, keys=3))
    topics = Counter(record.topic for record in records)
    keys = Counter(record.key for record in records)
    assert set(topics) == {"load-test-0", "load-test-1", "load-test-2"}
    assert set(keys) == {"key-0", "key-1", "key-2"}
    assert all(2800 < count < 3200 for count in [*topics.values(), *keys.values()])


@pytest.mark.parametrize("skew", [0.5, 1.0, 1.3])
def test_keys_with_skew_have_the_shares_of_zipf(skew: float) -> None:
    choose, steps = chooser(40, skew), 100_000
    chosen = Counter(choose(step / steps) for step in range(steps))
    total = sum((key + 1) ** -skew for key in range(40))
    assert set(chosen) == set(range(40))
    for key, count in chosen.items():
        assert count / steps == pytest.approx((key + 1) ** -skew / total, abs=2 / steps)


def test_last_key_is_the_largest() -> None:
    assert [chooser(5, skew)(1 - 2**-53) for skew in (0.0, 1.0)] == [4, 4]


def test_ten_million_rows_are_generated_as_they_are_asked_for() -> None:
    assert len(list(islice(some(10_000_000), 3))) == 3


def test_rows_take_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    tracemalloc.start()
    try:
        csv_writer.write(file, some(5000))
        assert csv_survey.survey(file).rows == sum(1 for _ in csv_file.read(file)) == 5000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < file.stat().st_size / 4
