"""A lane stops before a long run of undecodable records, looks ahead, and goes on when decodable ones come.

Oracle: the offsets of the dead letters, and the watermark. Real: lane and ledger.
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


def dead_lettered(one: Lane, records: list[Record]) -> list[int]:
    """The lane takes the records; returns the offsets of its dead letters, which are stored at once."""
    _, dead_letters = one.take(records, WANTED, 0.0)
    for dead_letter in dead_letters:
        one.settle_dead_letter(dead_letter)
    return [dead_letter.offset for dead_letter in dead_letters]


def stopped(at: int = IN_A_ROW) -> Lane:
    """A lane that stopped before the record at this offset."""
    made = lane()
    dead_lettered(made, bad(*range(at + 1)))
    return made


def test_run_of_undecodable_records_is_dead_lettered_up_to_the_bound() -> None:
    one = lane()
    first = dead_lettered(one, bad(*range(IN_A_ROW - 1)))
    problem = one.undecodable_run.too_long
    rest = dead_lettered(one, bad(*range(IN_A_ROW - 1, IN_A_ROW + 200)))
    assert (len(first), problem, rest) == (IN_A_ROW - 1, False, [IN_A_ROW - 1])
    assert (one.undecodable_run.too_long, one.awaiting_seek, one.ledger.watermark) == (True, True, IN_A_ROW)


def test_decodable_record_ends_the_run_matching_or_not() -> None:
    one = lane()
    for value in (b'{"n":1}', b'"drop"'):
        at = one.ledger.watermark if one.ledger.position > 0 else 0
        dead_lettered(one, [*bad(*range(at, at + IN_A_ROW)), Record(at + IN_A_ROW, value)])
        assert (one.undecodable_run.count, one.undecodable_run.lookahead_offset) == (0, None)
        one.settle(one.ledger.open_count, 0)


def test_decodable_record_amid_others_begins_a_new_count() -> None:
    one = lane()
    taken = dead_lettered(one, [*bad(*range(30)), good(30), *bad(*range(31, 71))])
    assert (len(taken), one.undecodable_run.count) == (70, 40)


def test_lane_that_stopped_at_its_first_record_can_commit() -> None:
    one = lane()
    one.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (dead_lettered(one, bad(7)), one.committable and one.committable.offset) == ([], 7)


def test_looking_ahead_makes_no_dead_letters() -> None:
    one = stopped()
    ahead = bad(*range(IN_A_ROW, IN_A_ROW + 5000))
    assert (one.look_ahead(ahead, WANTED), one.ledger.position, one.ledger.dead_letter_count) == (False, IN_A_ROW, 0)


def test_decodable_record_ahead_lets_the_lane_go_on_from_where_it_stopped() -> None:
    one = stopped()
    wall = bad(*range(IN_A_ROW, IN_A_ROW + 200))
    behind = good(IN_A_ROW + 200)
    assert one.look_ahead([*wall, behind, *bad(900)], WANTED)
    one.awaiting_seek = False
    assert dead_lettered(one, [*wall, behind]) == [record.at for record in wall]
    assert (one.undecodable_run.too_long, [record.offset for record in one.waiting]) == (False, [behind.at])


def test_record_is_checked_once_while_looking_ahead() -> None:
    one = stopped()
    one.look_ahead(bad(100, 101), WANTED)
    assert (one.look_ahead([good(99), *bad(101)], WANTED), one.undecodable_run.lookahead_offset) == (False, 101)


class Costly:
    """A filter that is too costly for every record."""

    def matches(self, value: bytes | None) -> bool:
        raise FilterTooCostly(f"{value!r}")


def test_record_that_is_too_costly_for_a_filter_is_decodable() -> None:
    assert stopped().look_ahead([good(100)], Costly())


def test_record_with_bad_headers_is_undecodable() -> None:
    class BadHeaderName(Record):
        def headers(self) -> list[tuple[str, bytes | None]] | None:
            raise SystemError

    assert not stopped().look_ahead([BadHeaderName(100)], WANTED)


def test_stop_survives_a_restart() -> None:
    before = stopped()
    assert before.committable is not None
    after = lane()
    after.restore(before.committable.metadata, 0.0)
    assert dead_lettered(after, bad(*range(IN_A_ROW, IN_A_ROW + 10))) == []


@pytest.mark.parametrize("value", [b'{"n":1}', b'"drop"'])
def test_stop_is_not_restored_after_a_decodable_record(value: bytes) -> None:
    one = lane()
    one.position_known = False
    dead_lettered(one, [Record(7, value)])
    one.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (one.undecodable_run.too_long, dead_lettered(one, bad(8, 9))) == (False, [8, 9])


def test_stop_is_restored_after_undecodable_records() -> None:
    one = lane()
    one.position_known = False
    dead_lettered(one, bad(7))
    one.restore(CommitMetadata(undecodable=IN_A_ROW), 0.0)
    assert (one.undecodable_run.too_long, dead_lettered(one, bad(8, 9))) == (True, [])


def test_run_below_the_bound_needs_no_commit() -> None:
    one = lane()
    dead_lettered(one, bad(1, 2))
    assert one.committable is not None
    assert one.committable.metadata == CommitMetadata()


def test_rewound_lane_counts_what_it_reads_again() -> None:
    one = lane()
    dead_lettered(one, [good(0), *bad(*range(1, IN_A_ROW + 2))])
    one.rewind("another")
    assert (one.undecodable_run.too_long, one.undecodable_run.lookahead_offset) == (False, None)


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
