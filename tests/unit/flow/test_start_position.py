"""Where a lane begins to read: the table in the docstring of flow/offsets/start_position.py."""

import pytest

from webhookd.flow.offsets.start_position import StartPosition, start_position
from webhookd.flow.subscription import Source, Start

LATEST = Source(topic="orders", start_offsets={0: 50})
EARLIEST = Source(topic="orders", start=Start.EARLIEST, start_offsets={0: 50})


@pytest.mark.parametrize("source", [LATEST, EARLIEST])
@pytest.mark.parametrize("partition", [0, 1])
def test_committed_offset_wins(source: Source, partition: int) -> None:
    assert start_position(source, partition, 70, 10, 90) == StartPosition(70, 0)


def test_latest_begins_at_the_stored_end() -> None:
    assert start_position(LATEST, 0, None, 10, 90) == StartPosition(50, 0)


def test_partition_that_appeared_later_begins_at_the_first_offset() -> None:
    assert start_position(LATEST, 1, None, 0, 90) == StartPosition(0, 0)


def test_earliest_begins_at_the_first_offset() -> None:
    assert start_position(EARLIEST, 0, None, 10, 90) == StartPosition(10, 0)


@pytest.mark.parametrize("committed", [7, None])
def test_removed_position_counts_the_lost_records(committed: int | None) -> None:
    wanted = 7 if committed is not None else 50
    assert start_position(LATEST, 0, committed, 60, 90) == StartPosition(60, 60 - wanted)


def test_recreated_topic_begins_at_the_first_offset() -> None:
    assert start_position(LATEST, 0, 70, 0, 20) == StartPosition(0, 0)


def test_end_itself_is_a_position() -> None:
    assert start_position(LATEST, 0, 90, 10, 90) == StartPosition(90, 0)


def test_zero_is_a_committed_offset() -> None:
    assert start_position(LATEST, 0, 0, 0, 90) == StartPosition(0, 0)
