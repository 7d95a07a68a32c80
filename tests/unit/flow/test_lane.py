"""What a lane reads, batches and puts back, and that its byte counts are exact."""

import itertools
import json
import random

import pytest

from tests.harness.lanes import WANTED, Record, lane, offsets_in, records
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import UNREAD

MUCH = 1 << 30
COSTLY = " | ".join(["`[1]`", *["[@, @][]"] * 20])


def test_filtered_records_settle_at_once() -> None:
    one = lane()
    dropped, dead_letters = one.take([Record(3, b'"drop"'), Record(9, b'"drop"')], WANTED, 0.0)
    assert (dropped, dead_letters, one.ledger.watermark, one.buffered_bytes) == (2, [], 10, 0)


def test_undecodable_record_becomes_a_whole_dead_letter() -> None:
    one = lane(2)
    _, (dead_letter,) = one.take([Record(4, b'"bad"', b"k", (("h", b"v"),))], WANTED, 0.0)
    assert (dead_letter.offset, dead_letter.partition.number, dead_letter.value, dead_letter.key) == (
        4,
        2,
        b'"bad"',
        b"k",
    )
    assert (dead_letter.headers, dead_letter.cause, dead_letter.timestamp_ms) == (
        (("h", b"v"),),
        "not_json",
        1_700_000_000_004,
    )
    assert (one.ledger.watermark, one.ledger.dead_letter_count, len(one.waiting)) == (4, 1, 0)


def test_undecodable_record_does_not_stop_the_others() -> None:
    one = lane()
    one.take([Record(4, b'"bad"'), *records(5)], WANTED, 0.0)
    assert [record.offset for record in one.waiting] == [5]
    one.settle(1, 0)
    assert one.ledger.watermark == 4


@pytest.mark.parametrize(
    ("expression", "cause", "detail"),
    [
        ("n > 'x'", "filter_error", "n > 'x': '>' not supported between instances of 'int' and 'str'"),
        (COSTLY, "filter_too_costly", f"{COSTLY[:80]}: The filter took more steps on this record than it may."),
    ],
)
def test_record_that_filters_cannot_evaluate_becomes_a_dead_letter(expression: str, cause: str, detail: str) -> None:
    one = lane()
    dropped, (dead_letter,) = one.take(records(4), Matcher([expression]), 0.0)
    assert (dropped, dead_letter.cause, dead_letter.detail, dead_letter.value) == (0, cause, detail, b'{"n":1}')
    assert (one.ledger.watermark, one.ledger.dead_letter_count) == (4, 1)


def test_records_that_were_read_before_are_skipped() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    one.take(records(2, 3, 4), WANTED, 0.0)
    assert [record.offset for record in one.waiting] == [1, 2, 3, 4]


def test_old_records_alone_change_nothing() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    buffered = one.buffered_bytes
    assert one.take([*records(1), Record(2, b'"drop"')], WANTED, 0.0) == (0, [])
    assert (one.ledger.position, one.buffered_bytes) == (4, buffered)


def test_taking_nothing_leaves_an_unread_lane_unread() -> None:
    one = lane()
    one.take([], WANTED, 0.0)
    assert (one.ledger.position, one.ledger.watermark) == (UNREAD, UNREAD)


def test_tombstone_is_delivered_as_null() -> None:
    one = lane()
    one.take([Record(0, None)], WANTED, 0.0)
    assert json.loads(one.waiting[0].text)["value"] is None


def test_reading_begins_at_the_given_offset() -> None:
    one = lane()
    one.skip_to(50)
    assert one.ledger.watermark == 50


def test_skipping_ahead_waits_for_open_records() -> None:
    one = lane()
    one.take(records(7), WANTED, 0.0)
    one.skip_to(50)
    waiting = one.ledger.watermark
    one.settle(1, 0)
    assert (waiting, one.ledger.watermark) == (7, 50)


def test_batch_takes_the_oldest_records() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    batch = one.form_batch(2, MUCH)
    assert (offsets_in(batch.body), batch.records) == ([(0, 1), (0, 2)], 2)
    assert [record.offset for record in one.waiting] == [3]


def test_batch_keeps_the_byte_bound() -> None:
    one = lane()
    one.take(records(1, 2, 3, 4, size_bytes=1000), WANTED, 0.0)
    assert one.form_batch(100, 2500).records == 2


def test_batch_takes_at_least_one_record_however_large() -> None:
    one = lane()
    one.take(records(1, 2, size_bytes=1000), WANTED, 0.0)
    assert one.form_batch(100, 10).records == 1


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("room", [-1, 0, 1, 900, 90_000, MUCH])
@pytest.mark.parametrize("most", [1, 127, 128, 129, 300, 1000])
def test_records_are_taken_as_long_as_both_bounds_allow(most: int, room: int, least: int) -> None:
    one = lane()
    one.take([Record(n, b'"%b"' % (b"x" * (37 * n % 900))) for n in range(400)], WANTED, 0.0)
    waiting = list(one.waiting)
    ends = list(itertools.accumulate(len(record.text) + 1 for record in waiting))
    fitting = sum(end <= room for end in ends)
    taken = one.take_rendered(most, room, least=least)
    assert len(taken) == min(most, max(least, fitting), 400)
    assert [*taken, *one.waiting] == waiting


@pytest.mark.parametrize("size", [1, 2, 7])
def test_settling_every_batch_frees_every_byte(size: int) -> None:
    one = lane()
    one.take(records(*range(20)), WANTED, 0.0)
    batches = [one.form_batch(size, MUCH) for _ in range(-(-20 // size))]
    assert one.buffered_bytes == sum(len(batch.body) for batch in batches)
    for batch in batches:
        one.settle(batch.records, len(batch.body))
    assert (one.buffered_bytes, one.ledger.open_count, one.ledger.watermark) == (0, 0, 20)


def test_returned_batches_stay_in_the_byte_count() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    batches = [one.form_batch(1, MUCH), one.form_batch(1, MUCH)]
    buffered = one.buffered_bytes
    one.put_back(batches)
    assert one.buffered_bytes == buffered
    assert list(one.returned) == batches


def test_returned_batches_go_before_those_returned_earlier() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    first, second, third = (one.form_batch(1, MUCH) for _ in range(3))
    one.put_back([third])
    one.put_back([first, second])
    assert list(one.returned) == [first, second, third]


def test_rewind_drops_all_and_takes_a_new_epoch() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    one.put_back([one.form_batch(1, MUCH)])
    assert one.rewind("another") == 1
    assert (one.epoch, one.buffered_bytes, len(one.waiting), len(one.returned)) == ("another", 0, 0, 0)


def test_records_read_again_are_taken_after_a_rewind() -> None:
    one = lane()
    one.take(records(1, 2, 3), WANTED, 0.0)
    one.settle(1, 0)
    assert one.rewind("another") == 2
    one.take(records(2, 3), WANTED, 0.0)
    assert [record.offset for record in one.waiting] == [2, 3]


@pytest.mark.parametrize("seed", range(10))
def test_bytes_add_up_over_a_random_life(seed: int) -> None:
    chance, one, offset = random.Random(seed), lane(), 0  # noqa: S311  # seeded on purpose
    for _ in range(100):
        count = chance.randint(0, 6)
        one.take(records(*range(offset, offset + count), size_bytes=chance.randint(1, 90)), WANTED, 0.0)
        offset += count
        if one.waiting:
            batch = one.form_batch(chance.randint(1, 4), chance.choice((50, MUCH)))
            one.settle(batch.records, len(batch.body))
        if chance.random() < 0.05:
            offset = max(0, one.rewind("next"))
        assert one.buffered_bytes == sum(len(record.text) for record in one.waiting)


class BadHeaderName(Record):
    """A record with a header name that is not UTF-8; confluent-kafka raises the same error."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        raise SystemError("returned a result with an exception set")


def test_record_with_a_bad_header_name_alone_becomes_a_dead_letter() -> None:
    one = lane()
    _, (dead_letter,) = one.take([Record(0), BadHeaderName(1), Record(2)], WANTED, 0.0)
    assert (dead_letter.offset, dead_letter.cause, dead_letter.headers) == (1, "unreadable", ())
    assert [record.offset for record in one.waiting] == [0, 2]


def test_dead_letters_count_in_bytes_until_they_are_stored() -> None:
    one = lane()
    _, (dead_letter,) = one.take([Record(0, b'"bad"')], WANTED, 0.0)
    before = one.dead_letter_bytes
    one.settle_dead_letter(dead_letter)
    one.settle_dead_letter(dead_letter)
    assert (before, one.dead_letter_bytes) == (dead_letter.size_bytes, 0)


def test_dead_letter_that_is_being_stored_is_not_made_again() -> None:
    one = lane()
    _, (dead_letter,) = one.take([Record(0, b'"bad"')], WANTED, 0.0)
    one.rewind("anew")
    assert one.dead_letter_bytes == 0, "records before it can be read"
    _, again = one.take([Record(0, b'"bad"'), Record(1)], WANTED, 0.0)
    assert (again, one.ledger.watermark, one.dead_letter_bytes) == ([], 0, dead_letter.size_bytes)
    one.settle_dead_letter(dead_letter)
    assert (one.ledger.watermark, one.dead_letter_bytes) == (1, 0)


def test_dead_letter_stored_before_reading_again_settles_nothing() -> None:
    one = lane()
    _, (dead_letter,) = one.take([Record(0, b'"bad"')], WANTED, 0.0)
    one.rewind("anew")
    one.settle_dead_letter(dead_letter)
    _, again = one.take([Record(0, b'"bad"')], WANTED, 0.0)
    assert ([found.offset for found in again], one.ledger.watermark) == ([0], 0)
