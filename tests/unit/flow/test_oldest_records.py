"""The age of the oldest record of a lane, wherever the record is: waiting, in flight, returned, or to be read again."""

import pytest

from tests.harness.deliveries_in_flight import scene
from tests.harness.lanes import TOPIC, WANTED, Record, accumulator, fill, lane, records
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.envelope import Envelope, body, first_timestamp_ms
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.monitoring.oldest_records import OldestRecords

FIRST_MS = 1_700_000_000_000
"""The timestamp of the record at offset 0; each later record is a millisecond younger."""


@pytest.fixture
def oldest() -> OldestRecords:
    return OldestRecords()


def look(oldest: OldestRecords, one: Lane) -> int | None:
    """Look one lane over, as the ingest loop does each second."""
    found = oldest.timestamp_ms(one)
    oldest.next_round()
    return None if found is None else found - FIRST_MS


def test_a_lane_that_has_read_nothing_has_none(oldest: OldestRecords) -> None:
    assert look(oldest, lane()) is None


def test_waiting_record_counts(oldest: OldestRecords) -> None:
    one = lane()
    one.take(records(7, 8), WANTED, 0.0)
    assert look(oldest, one) == 7


def test_settled_lane_has_none(oldest: OldestRecords) -> None:
    one = lane()
    one.take([Record(0, b'"drop"')], WANTED, 0.0)
    assert look(oldest, one) is None


def test_batches_in_flight_count_until_they_are_settled(oldest: OldestRecords) -> None:
    made = scene()
    assert look(oldest, made.lane) == 0
    made.report(ReportKind.PROGRESS, done=3)
    assert look(oldest, made.lane) == 3
    made.report(ReportKind.FINISHED, done=4)
    assert look(oldest, made.lane) is None


def test_each_lane_of_a_mixed_batch_has_its_own(oldest: OldestRecords) -> None:
    made = accumulator(2, size=100)
    fill(made, 0, range(3))
    fill(made, 1, range(5, 9))
    made.ready(99.0)
    assert [oldest.timestamp_ms(one) for one in made.lanes.values()] == [FIRST_MS, FIRST_MS + 5]


def test_returned_batches_count(oldest: OldestRecords) -> None:
    made = scene()
    made.report(ReportKind.RETRY, done=1)
    made.report(ReportKind.FINISHED, done=1)
    assert look(oldest, made.lane) == 2


def test_rewound_lane_keeps_the_last_known(oldest: OldestRecords) -> None:
    made = scene()
    look(oldest, made.lane)
    made.report(ReportKind.EXHAUSTED)
    assert look(oldest, made.lane) == 0
    assert look(oldest, made.lane) == 0, "for as long as its circuit is open"


def test_rewound_lane_keeps_an_older_one_if_it_must(oldest: OldestRecords) -> None:
    made = scene()
    look(oldest, made.lane)
    made.report(ReportKind.EXHAUSTED, done=2)
    assert look(oldest, made.lane) == 0


def test_lane_that_failed_before_the_start_counts_from_the_first_failure(oldest: OldestRecords) -> None:
    one = lane()
    one.circuit.begin_failing((FIRST_MS + 2000) / 1000)
    one.circuit.restore(1, 0.0)
    assert look(oldest, one) == 2000


def test_record_read_again_counts_exactly(oldest: OldestRecords) -> None:
    one = lane()
    one.circuit.begin_failing((FIRST_MS + 2000) / 1000)
    one.circuit.restore(1, 0.0)
    look(oldest, one)
    one.take(records(4), WANTED, 0.0)
    assert look(oldest, one) == 4


def test_dead_letter_that_is_being_stored_counts(oldest: OldestRecords) -> None:
    one = lane()
    _, (dead_letter,) = one.take([Record(0, b'"bad"'), Record(1)], WANTED, 0.0)
    assert look(oldest, one) == 0
    one.settle_dead_letter(dead_letter)
    assert look(oldest, one) == 1


def test_everything_settled_and_read_on_has_none(oldest: OldestRecords) -> None:
    made = scene()
    look(oldest, made.lane)
    made.report(ReportKind.FINISHED, done=4)
    assert look(oldest, made.lane) is None
    assert look(oldest, made.lane) is None


def test_record_without_a_timestamp_has_no_age(oldest: OldestRecords) -> None:
    one = lane()
    one.take([Record(-1 - FIRST_MS)], WANTED, 0.0)
    assert look(oldest, one) is None


@pytest.mark.parametrize("value", [b'{"timestamp":5,"a":1}', b'"\\"timestamp\\":5,"', b"null"])
def test_timestamps_in_values_and_headers_are_not_mistaken(value: bytes) -> None:
    envelope = Envelope(TOPIC, 3)
    texts = [
        envelope.render(offset, 1000 + offset, b'"timestamp":1,', [('"timestamp":', b'"timestamp":2,')], value)
        for offset in (11, 1, 2)
    ]
    assert first_timestamp_ms(body(texts)) == 1011
    assert [envelope.timestamp_ms(offset, body(texts)) for offset in (11, 1, 2, 12)] == [1011, None, None, None]
    assert [envelope.timestamp_ms(offset, texts[1]) for offset in (11, 1)] == [None, 1001]


CRAFTED = b'{"topic":"%b","partition":1,"offset":17,"timestamp":"no"}' % TOPIC.encode()
"""A value that looks like the record of the other lane at offset 17."""


def test_value_that_looks_like_a_record_of_a_mixed_batch_is_not_read(oldest: OldestRecords) -> None:
    made = accumulator(2, size=100)
    lanes = list(made.lanes.values())
    lanes[0].take([Record(3, CRAFTED)], WANTED, 0.0)
    lanes[1].take([Record(17, CRAFTED)], WANTED, 1.0)
    (delivery,) = made.ready(99.0)
    assert delivery.records_per_lane == (1, 1)
    assert [look(oldest, one) for one in lanes] == [3, 17]
