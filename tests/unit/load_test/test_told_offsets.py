"""Offsets that librdkafka has made up are not kept. The sequences are those of a batch that a broker had already."""

from webhookd_load_test.records.told_offsets import ToldOffsets


def told(*offsets: int | None) -> list[int | None]:
    known = ToldOffsets()
    return [known.told("orders", 0, offset) for offset in offsets]


def test_offsets_of_kafka_are_kept() -> None:
    assert told(0, 1, 2, 7) == [0, 1, 2, 7]


def test_batch_without_offset_has_none() -> None:
    assert told(40, None, 0, 1, 2, 45) == [40, None, None, None, None, 45]


def test_negative_offset_is_none() -> None:
    assert told(-1, 0, 9) == [None, None, 9]


def test_two_batches_without_offset_have_none() -> None:
    assert told(None, 0, None, 0, 1, 50) == [None, None, None, None, None, 50]


def test_partitions_and_topics_are_told_apart() -> None:
    known = ToldOffsets()
    assert known.told("orders", 0, None) is None
    assert [known.told("orders", 1, 0), known.told("payments", 0, 0), known.told("orders", 0, 0)] == [0, 0, None]
