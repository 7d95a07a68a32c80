"""A subscription consumer: what it reads, pauses, commits and gives back. The test controls the Kafka consumer."""

import pytest

from tests.harness.lanes import TOPIC
from tests.harness.memory_consumer import MemoryServices
from tests.harness.metrics import exposed
from tests.harness.subscription_consumers import BAD, GOOD, ONE, SMALL, ZERO, Scene, offsets
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.in_flight import InFlightDeliveries, ReportEffect
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from workers.ingest.consumer.message_slices import FIRST_SLICE_SIZE
from workers.ingest.consumer.subscription_consumer import SLOW_FILTER_PAUSE_FACTOR


def test_matching_records_wait_in_their_lanes() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, SMALL, GOOD)
    assert [record.offset for record in scene.lane().waiting] == [0, 2]
    assert scene.consumer.status().filtered == 1


def test_filtered_records_are_committed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, SMALL)
    assert scene.committable() == {ZERO: 2}


def test_moved_watermarks_are_committed_once() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.committable()
    assert scene.committable() == {}


def test_dead_letter_settles_once_it_is_stored() -> None:
    scene = Scene()
    scene.reads(ZERO, BAD, SMALL)
    assert scene.committable() == {ZERO: 0}
    ((dead_letters, committed),) = scene.services.dead_letters.written
    committed()
    assert ([dead_letter.offset for dead_letter in dead_letters], scene.committable()) == ([0], {ZERO: 2})
    assert scene.consumer.status().dead_lettered == 1


def test_records_of_a_revoked_partition_are_dropped() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.reads(ZERO, GOOD)
    assert [*scene.consumer.accumulator.lanes] == [(TOPIC, 1)]


def test_revoked_partition_commits_what_is_settled() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD, GOOD)
    scene.kafka_consumer.listener.revoked([ZERO, ONE])
    assert [offsets(commits) for commits in scene.kafka_consumer.commits] == [{ZERO: 1}]


def test_revoked_partition_that_was_not_read_commits_nothing() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.revoked([ZERO])
    assert scene.kafka_consumer.commits == []


def test_losing_a_lane_of_a_mix_skips_nothing_in_the_other() -> None:
    scene = Scene()
    delivery = scene.mixed()
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.reads(ONE, GOOD, at=8)
    assert (scene.committable(), delivery.lanes[1].ledger.open_count) == ({ONE: 7}, 2)


def test_mix_that_lost_a_lane_rereads_only_the_other(in_flight: InFlightDeliveries) -> None:
    scene = Scene()
    delivery = scene.mixed()
    in_flight.published(delivery, 0.0)
    scene.kafka_consumer.listener.revoked([ZERO])
    _, (lost,) = in_flight.overdue(0.0)
    effect = ReportEffect()
    in_flight.rewind(lost, effect)
    for lane, offset in effect.reread:
        scene.consumer.seek([(lane, offset)])
    assert scene.kafka_consumer.asked == [("seek", ONE, 7)]


def test_seek_of_a_closed_lane_is_ignored() -> None:
    scene = Scene()
    old = scene.lane()
    scene.reads(ZERO, GOOD)
    scene.kafka_consumer.committed = OffsetAndMetadata(0)
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.kafka_consumer.listener.assigned([ZERO])
    scene.consumer.seek([(old, 0)])
    scene.consumer.pause(old)
    assert scene.kafka_consumer.asked == []


def test_lane_with_an_open_circuit_is_paused_until_its_probe() -> None:
    scene = Scene()
    scene.lane().circuit.state = CircuitState.OPEN
    scene.consumer.pause(scene.lane())
    scene.consumer.seek([(scene.lane(), 3)])
    scene.consumer.resume(scene.lane())
    assert [call for call, _, _ in scene.kafka_consumer.asked] == ["pause", "seek", "pause", "resume"]


def test_large_lane_is_paused_and_resumed() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, *[GOOD] * 100)
    assert scene.kafka_consumer.asked == [("pause", ZERO, 0)]
    lane = scene.lane()
    while lane.waiting:
        batch = lane.form_batch(1, 1)
        lane.settle(1, len(batch.body))
    scene.reads(ONE, SMALL)
    assert scene.kafka_consumer.asked[1:] == [("resume", ZERO, 0)]


def test_idle_consumer_is_polled_more_rarely() -> None:
    scene = Scene()
    waits = []
    for idle_s in (0.0, 0.1, 0.4, 60.0):
        scene.consumer.poll(scene.services.now + idle_s, 0.001)
        waits.append(scene.consumer.poll_at - scene.services.now - idle_s)
    assert waits == pytest.approx([0.001, 0.025, 0.1, 0.2])


def test_closing_commits_every_lane_that_was_read() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD)
    scene.consumer.close()
    assert [offsets(commits) for commits in scene.kafka_consumer.closed] == [{ZERO: 1}]


def test_closed_consumer_commits_and_seeks_no_more() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD)
    lane = scene.lane()
    scene.consumer.close()
    scene.kafka_consumer.listener.revoked([ZERO, ONE])
    scene.consumer.seek([(lane, 0)])
    assert (scene.kafka_consumer.commits, scene.kafka_consumer.asked) == ([], [])


def test_status_counts_filter_errors() -> None:
    scene = Scene()
    scene.consumer.update_topics(Topics(partitions={TOPIC: 2, "other": 9}))
    status = scene.consumer.status()
    assert [(topic.topic, topic.partitions) for topic in status.topics] == [(TOPIC, 2)]
    assert (status.filter_errors, status.last_filter_error) == (0, "")


def test_failed_commit_is_repeated() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.committable()
    scene.kafka_consumer.listener.commit_failed([ZERO, Partition("gone", 0)], "not_coordinator", "it moved")
    unseen = scene.committable()
    scene.consumer.update_topics(Topics(partitions={TOPIC: 2}))
    assert (unseen, scene.committable()) == ({}, {ZERO: 1})


def test_nothing_is_committed_for_a_deleted_topic() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.consumer.update_topics(Topics(partitions={TOPIC: 0}))
    scene.consumer.close()
    assert (scene.committable(), scene.kafka_consumer.closed) == ({}, [{}])


def test_status_goes_on_from_the_previous_one() -> None:
    was = SubscriptionStatus(
        subscription_id="s",
        health=Health.UNHEALTHY,
        reason="http_500",
        since=7.0,
        problems=(Problem(code="http_500", since=7.0),),
        delivered=5,
        filtered=6,
    )
    scene = Scene(previous=was)
    scene.reads(ZERO, SMALL)
    now = scene.consumer.status()
    assert (now.health, now.reason, now.since, now.delivered, now.filtered) == (was.health, "http_500", 7.0, 5, 7)


def resumed(code: str) -> Scene:
    """A subscription whose status was unhealthy when this process read it."""
    problem = Problem(code=code, since=7.0)
    return Scene(
        previous=SubscriptionStatus(
            subscription_id="s", health=Health.UNHEALTHY, reason=code, since=7.0, problems=(problem,)
        )
    )


def test_problem_that_no_lane_confirms_is_over() -> None:
    scene = resumed("http_500")
    before = scene.consumer.status().health
    scene.consumer.check()
    assert (before, scene.consumer.status().health) == (Health.UNHEALTHY, Health.HEALTHY)


def test_problem_of_a_lane_that_still_fails_goes_on() -> None:
    scene = resumed("http_500")
    scene.lane(ONE).circuit.failing_since = 5.0
    scene.consumer.check()
    scene.lane(ONE).circuit.failing_since = 0.0
    scene.consumer.check()
    assert scene.consumer.status().reason == "http_500"


def test_problem_goes_on_while_a_lane_is_not_known() -> None:
    scene = resumed("http_500")
    scene.lane(ONE).position_known = False
    scene.consumer.check()
    unknown = scene.consumer.status().reason
    scene.lane(ONE).position_known = True
    scene.consumer.check()
    assert (unknown, scene.consumer.status().reason) == ("http_500", "")


@pytest.mark.parametrize("code", ["worker_lost", "records_lost"])
def test_loss_is_over_with_a_delivery_only(code: str) -> None:
    scene = resumed(code)
    scene.consumer.check()
    assert scene.consumer.status().reason == code


def test_problem_of_this_process_is_over_with_a_delivery_only() -> None:
    scene = Scene()
    scene.consumer.check()
    scene.consumer.begin_problem("http_500")
    scene.consumer.check()
    assert scene.consumer.status().reason == "http_500"


class Slow(Matcher):
    """Takes a second a record, on the services' clock."""

    def __init__(self, services: MemoryServices) -> None:
        super().__init__(())
        self.services = services

    def matches(self, value: bytes | None) -> bool:
        self.services.now += 1.0
        return value is not None


def test_slow_filters_leave_the_rest_for_the_next_iteration() -> None:
    scene = Scene()
    scene.filters_by(Slow(scene.services))
    scene.reads(ZERO, *[GOOD] * 100)
    first = len(scene.lane().waiting)
    scene.consumer.poll(scene.services.now, 0.001)
    assert (first, len(scene.lane().waiting)) == (FIRST_SLICE_SIZE, FIRST_SLICE_SIZE + FIRST_SLICE_SIZE // 4)


def test_subscription_with_slow_filters_is_polled_later() -> None:
    scene = Scene()
    scene.filters_by(Slow(scene.services))
    scene.reads(ZERO, *[GOOD] * 100)
    assert scene.consumer.poll_at == scene.services.now + SLOW_FILTER_PAUSE_FACTOR * 1.0


def test_waiting_records_of_a_rewound_lane_are_fetched_again() -> None:
    scene = Scene()
    scene.filters_by(Slow(scene.services))
    scene.reads(ZERO, *[GOOD] * 100)
    lane = scene.lane()
    scene.consumer.seek([(lane, lane.rewind("another"))])
    scene.consumer.poll(scene.services.now, 0.001)
    assert (len(lane.waiting), scene.kafka_consumer.asked[-1]) == (0, ("seek", ZERO, 0))


def test_open_circuit_keeps_the_subscription_unhealthy() -> None:
    scene = Scene()
    scene.consumer.begin_problem("http_500")
    scene.lane(ONE).circuit.state = CircuitState.OPEN
    scene.consumer.delivery_succeeded()
    held = scene.consumer.status().health
    scene.lane(ONE).circuit.state = CircuitState.CLOSED
    scene.consumer.delivery_succeeded()
    assert (held, scene.consumer.status().health) == (Health.UNHEALTHY, Health.HEALTHY)


def test_lost_partition_is_not_committed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.kafka_consumer.listener.lost([ZERO])
    assert (scene.kafka_consumer.commits, (TOPIC, 0) in scene.consumer.accumulator.lanes) == ([], False)


def test_rebalances_and_commits_are_counted() -> None:
    with exposed() as live:
        scene = Scene()
        listener = scene.kafka_consumer.listener
        listener.committed([ZERO, ONE])
        listener.commit_failed([ZERO], "not_coordinator", "it moved")
        listener.revoked([ZERO])
        listener.lost([ONE])
        scraped = live.read()
    commits, events = (scraped.series(f"webhookd_{name}_total") for name in ("commits", "rebalances"))
    assert {one.labels["result"]: one.value for one in commits} == {"committed": 2, "failed": 1}
    assert {one.labels["event"]: one.value for one in events} == {"assigned": 1, "revoked": 1, "lost": 1}
