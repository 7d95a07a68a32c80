"""A lane stops before a long run of unreadable records, looks ahead, and goes on when readable ones come.

Oracle: the offsets that were put aside, and the watermark. Real: lane and ledger.
"""

import pytest

from tests.harness.lanes import WANTED, Record, lane
from webhookd.errors import FilterTooCostly, UndecodableRecord
from webhookd.flow.batching.undecodable_records import IN_A_ROW, description, frame_of
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.commit_metadata import CommitMetadata

FRAMED = b"\x00\x00\x00\x00\x2a\x0aabc"


def bad(*offsets: int) -> list[Record]:
    return [Record(offset, b'"bad"') for offset in offsets]


def good(offset: int) -> Record:
    return Record(offset)


def aside(of: Lane, records: list[Record]) -> list[int]:
    """Take the records; returns the offsets that were put aside. Their rows are safe at once."""
    _, dead_letters = of.take(records, WANTED, 0.0)
    for dead_letter in dead_letters:
        of.settle_dead_letter(dead_letter)
    return [dead_letter.offset for dead_letter in dead_letters]


def stopped(at: int = IN_A_ROW) -> Lane:
    """A lane that stopped before the record at this offset."""
    made = lane()
    aside(made, bad(*range(at + 1)))
    return made


def test_run_of_unreadable_records_is_put_aside_up_to_the_bound() -> None:
    of = lane()
    first = aside(of, bad(*range(IN_A_ROW - 1)))
    problem = of.undecodable_run.too_long
    rest = aside(of, bad(*range(IN_A_ROW - 1, IN_A_ROW + 200)))
    assert (len(first), problem, rest) == (IN_A_ROW - 1, False, [IN_A_ROW - 1])
    assert (of.undecodable_run.too_long, of.awaiting_seek, of.ledger.watermark) == (True, True, IN_A_ROW)


def test_readable_record_ends_the_run_wanted_or_not() -> None:
    of = lane()
    for value in (b'{"n":1}', b'"drop"'):
        at = of.ledger.watermark if of.ledger.position > 0 else 0
        aside(of, [*bad(*range(at, at + IN_A_ROW)), Record(at + IN_A_ROW, value)])
        assert (of.undecodable_run.count, of.undecodable_run.lookahead_offset) == (0, None)
        of.settle(of.ledger.open_count, 0)


def test_readable_record_in_the_middle_of_one_read_begins_the_count_anew() -> None:
    of = lane()
    taken = aside(of, [*bad(*range(30)), good(30), *bad(*range(31, 71))])
    assert (len(taken), of.undecodable_run.count) == (70, 40)


def test_lane_that_stopped_first_thing_can_be_committed() -> None:
    of = lane()
    of.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (aside(of, bad(7)), of.committable and of.committable.offset) == ([], 7)


def test_looking_ahead_puts_nothing_aside() -> None:
    of = stopped()
    ahead = bad(*range(IN_A_ROW, IN_A_ROW + 5000))
    assert (of.look_ahead(ahead, WANTED), of.ledger.position, of.ledger.dead_letter_count) == (False, IN_A_ROW, 0)


def test_readable_record_ahead_lets_the_lane_go_on_from_where_it_stopped() -> None:
    of = stopped()
    wall = bad(*range(IN_A_ROW, IN_A_ROW + 200))
    behind = good(IN_A_ROW + 200)
    assert of.look_ahead([*wall, behind, *bad(900)], WANTED)
    of.awaiting_seek = False
    assert aside(of, [*wall, behind]) == [record.at for record in wall]
    assert (of.undecodable_run.too_long, [fragment.offset for fragment in of.waiting]) == (False, [behind.at])


def test_record_that_was_looked_at_is_not_looked_at_again() -> None:
    of = stopped()
    of.look_ahead(bad(100, 101), WANTED)
    assert (of.look_ahead([good(99), *bad(101)], WANTED), of.undecodable_run.lookahead_offset) == (False, 101)


class Costly:
    """A filter that gives up on every record."""

    def matches(self, value: bytes | None) -> bool:
        raise FilterTooCostly(f"{value!r}")


def test_record_that_only_a_filter_gives_up_on_can_be_read() -> None:
    assert stopped().look_ahead([good(100)], Costly())


def test_record_whose_headers_cannot_be_read_is_passed_over() -> None:
    class Unreadable(Record):
        def headers(self) -> list[tuple[str, bytes | None]] | None:
            raise SystemError

    assert not stopped().look_ahead([Unreadable(100)], WANTED)


def test_stop_survives_a_restart() -> None:
    before = stopped()
    assert before.committable is not None
    after = lane()
    after.restore(before.committable.metadata, 0.0)
    assert aside(after, bad(*range(IN_A_ROW, IN_A_ROW + 10))) == []


@pytest.mark.parametrize("value", [b'{"n":1}', b'"drop"'])
def test_stop_is_not_recalled_after_a_record_that_can_be_read(value: bytes) -> None:
    of = lane()
    of.position_known = False
    aside(of, [Record(7, value)])
    of.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (of.undecodable_run.too_long, aside(of, bad(8, 9))) == (False, [8, 9])


def test_stop_is_recalled_after_records_that_cannot_be_read() -> None:
    of = lane()
    of.position_known = False
    aside(of, bad(7))
    of.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (of.undecodable_run.too_long, aside(of, bad(8, 9))) == (True, [])


def test_run_below_the_bound_costs_no_commit() -> None:
    of = lane()
    aside(of, bad(1, 2))
    assert of.committable is not None
    assert of.committable.metadata == CommitMetadata()


def test_rewound_lane_counts_what_it_reads_again() -> None:
    of = lane()
    aside(of, [good(0), *bad(*range(1, IN_A_ROW + 2))])
    of.rewind("another")
    assert (of.undecodable_run.too_long, of.undecodable_run.lookahead_offset) == (False, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (FRAMED, "Confluent schema registry, schema id 42, with Avro or Protobuf"),
        (b'\x00\x00\x00\x01\x00{"n":1}', "Confluent schema registry, schema id 256, with JSON"),
        (b"\x03\x05" + b"u" * 16 + b"x", "AWS Glue"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"Obj\x01", "Avro container"),
    ],
)
def test_frames_are_recognised(value: bytes, words: str) -> None:
    assert words in frame_of(value)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x00\x2a", b"text", b"\x03\x02" + b"u" * 17])
def test_nothing_is_recognised_in_other_bytes(value: bytes) -> None:
    assert frame_of(value) == ""


def test_description_names_the_cause() -> None:
    said = description(UndecodableRecord("not_json", "Expecting value at character 0"), FRAMED)
    assert said.startswith("not_json: Expecting value at character 0; it looks like the frame")
