"""The demo's tally detects losses, duplicates, disorder and latency.

Oracle: the counts, written out. There are no fakes.
"""

from webhookd.testing.offset_tally import Latency, Offsets, Received, Tally


def records(*offsets: int, partition: int = 0, timestamp: int = 0) -> list[Received]:
    return [Received(topic="t", partition=partition, offset=offset, timestamp=timestamp) for offset in offsets]


def offsets(*numbers: int, partition: int = 0) -> Offsets:
    made = Offsets()
    for number in numbers:
        made.add(("t", partition), number)
    return made


def test_tally_counts_requests_and_distinct_records() -> None:
    tally = Tally()
    tally.add(records(0, 1), 1.0)
    tally.add(records(0, partition=1), 1.0)
    assert (tally.requests, len(tally.delivered), tally.duplicates, tally.out_of_order) == (2, 3, 0, 0)


def test_repeated_record_is_a_duplicate_not_disorder() -> None:
    tally = Tally()
    tally.add(records(0, 1), 1.0)
    tally.add(records(0, 1, 2), 1.0)
    assert (len(tally.delivered), tally.duplicates, tally.out_of_order) == (3, 2, 0)


def test_late_first_arrival_is_out_of_order() -> None:
    tally = Tally()
    tally.add(records(0, 2), 1.0)
    tally.add(records(1), 1.0)
    assert tally.out_of_order == 1


def test_partitions_have_an_order_each() -> None:
    tally = Tally()
    tally.add([*records(5), *records(1, partition=1)], 1.0)
    assert tally.out_of_order == 0


def test_missing_offsets_are_counted_per_partition() -> None:
    expected = offsets(0, 1, 5000)
    assert expected.minus(offsets(0)) == 2
    assert expected.minus(offsets(0, 1, 5000, partition=1)) == 3
    assert expected.minus(expected) == 0


def test_ends_are_one_past_the_highest() -> None:
    assert offsets(3, 1, 2000).ends() == {("t", 0): 2001}


def test_latency_is_from_timestamp_to_arrival() -> None:
    tally = Tally()
    assert tally.latency() == Latency(p50_s=None, p99_s=None)
    tally.add(records(0, timestamp=1000), 1.25)
    assert tally.latency() == Latency(p50_s=0.25, p99_s=0.25)


def test_unmeasured_records_still_count() -> None:
    tally = Tally()
    tally.measuring = False
    tally.add(records(0), 9.0)
    assert len(tally.delivered) == 1
    assert tally.latency().p50_s is None
