"""What becomes of a batch that the endpoint refuses as a whole: every record is sent once more, in order, in parts.

Oracle: an endpoint in memory that refuses bodies above a size, or bodies with certain records, and keeps what it has
acknowledged; the ledger of each lane.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from math import ceil, log2

import pytest

from tests.harness.lanes import (
    TOPIC,
    WANTED,
    about,
    accumulator,
    fill,
    in_flight_deliveries,
    lane_of,
    offsets_in,
    records,
)
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.batch_bound import GROWTH_S
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.batching.webhook_id import webhook_id_of_mixed
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.subscription import OnExhausted

PlaceInTopic = tuple[int, int]
Refuses = Callable[[bytes], int]
"""The status for a body."""


def too_large(limit: int) -> Refuses:
    return lambda body: 413 if len(body) > limit else 200


def refused(*poison: PlaceInTopic) -> Refuses:
    return lambda body: 422 if set(poison) & set(offsets_in(body)) else 200


class Scene:
    """An accumulator, its deliveries in flight, and the endpoint; single refused records become dead letters."""

    def __init__(self, made: BatchAccumulator, answer: Refuses) -> None:
        self.made = made
        self.answer = answer
        self.in_flight = in_flight_deliveries()
        self.now = 100.0
        self.requests: list[tuple[str, list[PlaceInTopic], int]] = []
        self.dead: list[PlaceInTopic] = []

    @property
    def acknowledged(self) -> list[PlaceInTopic]:
        return [place for _, places, status in self.requests if status == 200 for place in places]

    def run(self) -> None:
        """Send what is ready until nothing is; each ready delivery is sent before the next ones are formed."""
        while deliveries := self.made.ready(self.now):
            for delivery in deliveries:
                self.in_flight.published(delivery, self.now)
            for delivery in deliveries:
                self.in_flight.apply(about(delivery, ReportKind.STARTED), self.now)
                self.send(delivery)

    def send(self, delivery: Delivery) -> None:
        for done, batch in enumerate(delivery.batches):
            status = self.answer(batch.body)
            self.requests.append((batch.webhook_id, offsets_in(batch.body), status))
            if status != 200:
                self.refuse(delivery, done, status)
                return
        self.in_flight.apply(about(delivery, ReportKind.FINISHED, len(delivery.batches)), self.now)

    def refuse(self, delivery: Delivery, done: int, status: int) -> None:
        single = delivery.batches[done].records == 1
        kind = ReportKind.EXHAUSTED if single else ReportKind.DIVISIBLE
        failure = LoggedExchange(0.0, "", status, error=f"http_{status}")
        effect = self.in_flight.apply(about(delivery, kind, done, failure=failure), self.now)
        if effect.exhausted_batch is not None:
            self.dead += [(letter.partition.number, letter.offset) for letter in effect.exhausted_batch.dead_letters()]
            self.in_flight.dead_letters_stored(delivery)


def scene(answer: Refuses, counts: Iterable[int], *, size: int = 1000, max_bytes: int | None = None) -> Scene:
    """Lanes with so many records each, which may leave at once."""
    counts = list(counts)
    made = accumulator(len(counts), size=size, max_bytes=max_bytes, on_exhausted=OnExhausted.DEAD_LETTER)
    for number, count in enumerate(counts):
        fill(made, number, range(count), now=number / 1000)
    return Scene(made, answer)


def all_records(counts: Iterable[int]) -> set[PlaceInTopic]:
    return {(number, offset) for number, count in enumerate(counts) for offset in range(count)}


def assert_complete(seen: Scene, counts: Iterable[int]) -> None:
    """Every record is acknowledged once or dead, in the order of its lane, and every lane has nothing left."""
    assert sorted([*seen.acknowledged, *seen.dead]) == sorted(all_records(counts))
    for number, lane in enumerate(seen.made.lanes.values()):
        offsets = [offset for partition, offset in seen.acknowledged if partition == number]
        assert offsets == sorted(offsets)
        assert (lane.buffered_bytes, lane.ledger.open_count, len(lane.waiting), len(lane.returned)) == (0, 0, 0, 0)
        assert (lane.group, lane.delivery, lane.failures) == (None, None, 0)


@pytest.mark.parametrize("poison", [0, 1, 499, 500, 998, 999])
@pytest.mark.parametrize("count", [1000])
def test_refused_record_stands_alone_after_log_n_requests(count: int, poison: int) -> None:
    seen = scene(refused((0, poison)), [count])
    seen.run()
    assert_complete(seen, [count])
    assert seen.dead == [(0, poison)]
    assert len(seen.requests) <= 2 * ceil(log2(count)) + 1


@pytest.mark.parametrize("poison", [(0, 0), (3, 1), (31, 0), (31, 1)])
def test_refused_record_of_a_mixed_batch_stands_alone_after_log_n_requests(poison: PlaceInTopic) -> None:
    counts = [2] * 32
    seen = scene(refused(poison), counts)
    seen.run()
    assert_complete(seen, counts)
    assert seen.dead == [poison]
    assert len(seen.requests) <= 2 * ceil(log2(64)) + 1


@pytest.mark.parametrize("poison", [(0, 0), (1, 4), (2, 7)])
def test_halves_of_a_mixed_batch_are_not_delayed(poison: PlaceInTopic) -> None:
    seen = scene(refused(poison), [1, 5, 8])
    (delivery,) = seen.made.ready(seen.now)
    seen.in_flight.published(delivery, seen.now)
    seen.send(delivery)
    due_at = seen.made.due_at()
    assert due_at is not None
    assert due_at <= seen.now


def test_several_refused_records_are_all_found() -> None:
    poison = {(0, 3), (0, 4), (0, 77), (0, 99)}
    seen = scene(refused(*poison), [100], size=100)
    seen.run()
    assert_complete(seen, [100])
    assert set(seen.dead) == poison


def test_endpoint_that_refuses_everything_gets_each_record_alone() -> None:
    seen = scene(lambda _body: 400, [16], size=16)
    seen.run()
    assert seen.dead == [(0, offset) for offset in range(16)]
    assert len(seen.requests) == 2 * 16 - 1


def test_batches_behind_the_refused_one_are_sent_unchanged() -> None:
    seen = scene(refused((0, 0)), [12], size=4)
    seen.run()
    assert_complete(seen, [12])
    assert [places for _, places, _ in seen.requests][-2:] == [
        [(0, n) for n in range(4, 8)],
        [(0, n) for n in range(8, 12)],
    ]


def test_parts_are_sent_without_the_batches_behind_them() -> None:
    seen = scene(refused((0, 5)), [400], size=50)
    (delivery,) = seen.made.ready(seen.now)
    seen.in_flight.published(delivery, seen.now)
    seen.send(delivery)
    (halves,) = seen.made.ready(seen.now)
    assert (len(delivery.batches), [batch.records for batch in halves.batches]) == (0, [25, 25])


def test_divided_batch_has_the_ids_of_its_records() -> None:
    seen = scene(refused((0, 5)), [8], size=8)
    seen.run()
    ids = {tuple(places): id_ for id_, places, _ in seen.requests}
    assert len(set(ids.values())) == len(ids)
    for places, id_ in ids.items():
        expected = webhook_id_of_mixed(seen.made.subscription.id, [(TOPIC, 0, [offset for _, offset in places])])
        assert id_ == expected


@pytest.mark.parametrize("counts", [[1000], [10, 300, 1, 690]])
def test_too_large_batch_is_halved_until_it_is_accepted(counts: list[int]) -> None:
    seen = scene(too_large(20_000), counts)
    seen.run()
    assert_complete(seen, counts)
    assert seen.dead == []
    statuses = [status for _, _, status in seen.requests]
    assert statuses.count(413) <= ceil(log2(1000))
    assert set(statuses[statuses.index(200) :]) == {200}


def test_size_that_worked_is_remembered_for_all_lanes() -> None:
    seen = scene(too_large(5_000), [100, 0], size=100)
    seen.run()
    bound, before = seen.made.bound.size_bytes, len(seen.requests)
    assert 2_500 / 2 <= bound <= 5_000
    fill(seen.made, 1, range(300), now=seen.now)
    seen.run()
    assert {status for _, _, status in seen.requests[before:]} == {200}


def test_remembered_size_grows_again() -> None:
    seen = scene(too_large(5_000), [100], size=100)
    seen.run()
    bound = seen.made.bound.size_bytes
    seen.made.ready(seen.now + GROWTH_S - 1)
    assert seen.made.bound.size_bytes == bound
    seen.made.ready(seen.now + GROWTH_S)
    assert seen.made.bound.size_bytes == 2 * bound
    for times in range(2, 20):
        seen.made.ready(seen.now + times * GROWTH_S)
    assert seen.made.bound.size_bytes == 4 * 1024 * 1024


def test_returned_batches_are_cut_to_the_new_size_before_they_are_sent() -> None:
    seen = scene(too_large(1_000), [64], size=16)
    seen.run()
    assert_complete(seen, [64])
    assert [status for _, _, status in seen.requests].count(413) == 1


def test_only_the_record_that_is_too_large_by_itself_is_exhausted() -> None:
    made = accumulator(1, size=100, on_exhausted=OnExhausted.DEAD_LETTER)
    given = [*records(*range(40)), *records(40, size_bytes=9_000), *records(*range(41, 100))]
    lane_of(made).take(given, WANTED, 0.0)
    seen = Scene(made, too_large(8_000))
    seen.run()
    assert_complete(seen, [100])
    assert seen.dead == [(0, 40)]


def test_single_record_does_not_lower_the_size() -> None:
    seen = scene(too_large(10), [1], size=100)
    before = seen.made.bound.size_bytes
    seen.run()
    assert (seen.dead, seen.made.bound.size_bytes) == ([(0, 0)], before)


def test_requested_wait_is_kept_before_the_parts_are_sent() -> None:
    seen = scene(refused((0, 0)), [4], size=4)
    (delivery,) = seen.made.ready(seen.now)
    seen.in_flight.published(delivery, seen.now)
    failure = LoggedExchange(0.0, "", 413, error="http_413")
    seen.in_flight.apply(about(delivery, ReportKind.DIVISIBLE, failure=failure, wait_s=7.0), seen.now)
    assert (seen.made.ready(seen.now + 6.9), seen.made.due_at()) == ([], seen.now + 7.0)
    assert seen.made.ready(seen.now + 7.0) != []


def test_parts_have_all_their_attempts() -> None:
    seen = scene(refused((0, 0)), [4], size=4)
    (delivery,) = seen.made.ready(seen.now)
    seen.in_flight.published(delivery, seen.now)
    failure = LoggedExchange(0.0, "", 500, error="http_500")
    seen.in_flight.apply(about(delivery, ReportKind.RETRY, failure=failure, wait_s=5.0), seen.now)
    assert lane_of(seen.made).failures == 1
    failure = LoggedExchange(0.0, "", 422, error="http_422")
    seen.in_flight.apply(about(delivery, ReportKind.DIVISIBLE, failure=failure), seen.now)
    (half,) = seen.made.ready(seen.now)[:1]
    assert (half.failures, [batch.records for batch in half.batches]) == (0, [2, 2])


class GivenBack:
    """A pace that notes what it is given back."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def reported(self, acknowledged: int, failure: LoggedExchange | None, now: float) -> None:
        """Slow nothing down."""

    def take(self, requests: int, records: int, now: float) -> None:
        """Count nothing."""

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Note them."""
        self.batches.extend(batches)

    def refused(self, reason: str, until: float) -> None:
        """Hold nothing back."""


def test_tokens_of_unsent_batches_are_given_back() -> None:
    seen, pace = scene(refused((0, 0)), [6], size=2), GivenBack()
    (delivery,) = seen.made.ready(seen.now)
    unsent = delivery.batches[1:]
    delivery.pace = pace
    seen.in_flight.published(delivery, seen.now)
    failure = LoggedExchange(0.0, "", 413, error="http_413")
    seen.in_flight.apply(about(delivery, ReportKind.DIVISIBLE, failure=failure), seen.now)
    assert (len(unsent) > 0, pace.batches) == (True, unsent)


def test_probe_is_divided_as_well_and_ends_with_the_refused_record() -> None:
    made = accumulator(1, size=8, on_exhausted=OnExhausted.PAUSE)
    fill(made, 0, range(8))
    seen = Scene(made, refused((0, 2)))
    seen.run()
    lane = lane_of(made)
    assert (lane.circuit.state, lane.ledger.watermark) == (CircuitState.OPEN, 2)
    before = len(seen.requests)
    lane.circuit.half_open_if_due(lane.circuit.probe_at)
    fill(made, 0, range(2, 8))
    seen.run()
    assert [status for _, _, status in seen.requests[before:]] == [422] * 4  # 6, 3, 2 and 1 records, the refused first
    assert (lane.circuit.state, lane.circuit.failed_probes, lane.ledger.watermark) == (CircuitState.OPEN, 2, 2)


def test_lane_that_is_read_again_leaves_its_group() -> None:
    seen = scene(refused((3, 0)), [2, 2, 2, 2])
    (delivery,) = seen.made.ready(seen.now)
    seen.in_flight.published(delivery, seen.now)
    seen.send(delivery)
    assert [lane.group and lane.group.name[-1] for lane in delivery.lanes] == ["1", "1", "2", "2"]
    lane_of(seen.made, 1).rewind("another")
    fill(seen.made, 1, range(2), now=seen.now)
    seen.run()
    seen.now += 5.0
    seen.run()
    assert_complete(seen, [2, 2, 2, 2])


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_repeated_whatever_is_refused(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose
    counts = [chance.randint(0, 60) for _ in range(chance.randint(1, 6))]
    places = sorted(all_records(counts))
    poison = set(chance.sample(places, min(len(places), chance.randint(0, 4))))
    limit = chance.choice([500, 2_000, 100_000])

    def answer(body: bytes) -> int:
        return 413 if len(body) > limit else refused(*poison)(body)

    seen = scene(answer, counts, size=chance.choice([3, 20, 1000]), max_bytes=chance.choice([None, 1500]))
    seen.run()
    seen.now += 5.0
    seen.run()
    assert_complete(seen, counts)
    assert set(seen.dead) == poison


def test_bodies_are_what_the_envelope_renders() -> None:
    bodies: list[bytes] = []

    def answer(body: bytes) -> int:
        bodies.append(body)
        return refused((0, 1))(body)

    scene(answer, [3], size=3).run()
    whole = json.loads(bodies[0])["messages"]
    assert [message for body in bodies[1:] for message in json.loads(body)["messages"]] == [*whole[:2], *whole]
