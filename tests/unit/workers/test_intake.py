"""One subscription at work: what it reads, pauses, commits and gives back, with a consumer in the test's hand."""

from collections.abc import Mapping

import pytest
from confluent_kafka import Message

from tests.harness.lanes import LIMITS, TOPIC, tokens
from tests.harness.readers import HandReader, HandServices
from tests.harness.subscriptions import subscription
from webhookd.edges.kafka_reader import Listener
from webhookd.flow.activity import Event
from webhookd.flow.condition import Condition, Health, LostRange
from webhookd.flow.delivery import Delivery
from webhookd.flow.dispatches import Dispatches, Effect
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.lane import Lane, LaneState
from webhookd.flow.memo import Memo, decode, encode
from webhookd.flow.position import Mark, Partition
from webhookd.flow.report import Exchange
from webhookd.flow.route import Route
from webhookd.flow.subscription import Batching, Source
from webhookd.flow.throttle import Throttle
from workers.ingest.intake import FIRST_SLICE, Intake
from workers.ingest.topic_watch import Topics
from workers.ingest.vitals import UNHEALTHY_AFTER_S

ZERO, ONE = Partition(TOPIC, 0), Partition(TOPIC, 1)
GOOD, SMALL, BAD = b'{"total": 200}', b'{"total": 1}', b"\xff"


class Scene:
    """An intake of one topic with a filter, and its consumer; two partitions are assigned."""

    def __init__(
        self,
        size: int = 10,
        previous: Condition | None = None,
        *,
        committed: Mark | None = None,
        topic_id: str = "",
    ) -> None:
        source = Source(topic=TOPIC, jmes_filters=("total > `100`",), start_offsets={0: 5}, topic_id=topic_id)
        subscribed = subscription(sources=(source,), batching=Batching(max_batch_size=size))
        self.matchers: dict[str, Matcher] = {TOPIC: Matcher(source.jmes_filters)}
        matchers = self.matchers
        self.readers: list[HandReader] = []
        self.services = HandServices()
        self.intake = Intake(
            Route(subscribed, matchers, LIMITS, tokens("route")),
            matchers,
            Throttle(10_000),
            self.services,
            self._open,
            previous,
        )
        self.reader.mark = committed
        self.reader.listener.assigned([ZERO, ONE])

    def _open(self, listener: Listener) -> HandReader:
        self.readers.append(HandReader(listener))
        return self.readers[-1]

    @property
    def reader(self) -> HandReader:
        return self.readers[-1]

    def lane(self, partition: Partition = ZERO) -> Lane:
        return self.intake.route.lanes[partition.topic, partition.number]

    def reads(self, partition: Partition, *values: bytes, at: int = 0) -> None:
        """These values arrive in a partition, from an offset on."""
        self.reader.arrived.append(
            [
                Message(topic=TOPIC, partition=partition.number, offset=at + n, value=value, timestamp=(1, 0))
                for n, value in enumerate(values)
            ]
        )
        self.intake.poll(self.services.now, 0.001)

    def committable(self) -> dict[Partition, int]:
        """The offsets that are to be committed since the last time."""
        return offsets(self.intake.marks())

    def filters_by(self, matcher: Matcher) -> None:
        """Another matcher from here on."""
        self.matchers[TOPIC] = matcher

    def mixed(self) -> Delivery:
        """A delivery of one record of each lane."""
        self.reads(ZERO, GOOD)
        self.reads(ONE, GOOD, at=7)
        (delivery,) = self.intake.route.ready(self.services.now + 99.0)
        return delivery


def offsets(marks: Mapping[Partition, Mark]) -> dict[Partition, int]:
    return {partition: mark.offset for partition, mark in marks.items()}


def decoded(mark: Mark) -> Mark:
    """The mark as it comes back out of Kafka."""
    return Mark(mark.offset, decode(encode(mark.memo)))


def test_matching_records_wait_in_their_lanes() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, SMALL, GOOD)
    assert [fragment.offset for fragment in scene.lane().waiting] == [0, 2]
    assert scene.intake.condition().filtered == 1


def test_filtered_records_are_committed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, SMALL)
    assert scene.committable() == {ZERO: 2}


def test_watermarks_are_asked_for_once() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.committable()
    assert scene.committable() == {}


def test_dead_letter_settles_once_it_is_safe() -> None:
    scene = Scene()
    scene.reads(ZERO, BAD, SMALL)
    assert scene.committable() == {ZERO: 0}
    ((letters, committed),) = scene.services.buried
    committed()
    assert ([letter.offset for letter in letters], scene.committable()) == ([0], {ZERO: 2})
    assert scene.intake.condition().dead_lettered == 1


def test_records_of_a_partition_not_ours_are_dropped() -> None:
    scene = Scene()
    scene.reader.listener.revoked([ZERO])
    scene.reads(ZERO, GOOD)
    assert [*scene.intake.route.lanes] == [(TOPIC, 1)]


def test_revoked_partition_commits_what_is_settled() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD, GOOD)
    scene.reader.listener.revoked([ZERO, ONE])
    assert [offsets(marks) for marks in scene.reader.commits] == [{ZERO: 1}]


def test_revoked_partition_that_was_not_read_commits_nothing() -> None:
    scene = Scene()
    scene.reader.listener.revoked([ZERO])
    assert scene.reader.commits == []


def test_losing_a_lane_of_a_mix_skips_nothing_in_the_other() -> None:
    scene = Scene()
    delivery = scene.mixed()
    scene.reader.listener.revoked([ZERO])
    scene.reads(ONE, GOOD, at=8)
    assert (scene.committable(), delivery.lanes[1].ledger.open_count) == ({ONE: 7}, 2)


def test_mix_that_lost_a_lane_rereads_only_the_other(dispatches: Dispatches) -> None:
    scene = Scene()
    delivery = scene.mixed()
    dispatches.published(delivery, 0.0)
    scene.reader.listener.revoked([ZERO])
    _, (lost,) = dispatches.overdue(0.0)
    effect = Effect()
    dispatches.give_up(lost, effect)
    for lane, offset in effect.reread:
        scene.intake.reread(lane, offset)
    assert scene.reader.asked == [("reposition", ONE, 7)]


def test_lane_that_came_back_is_not_moved_by_its_past() -> None:
    scene = Scene()
    old = scene.lane()
    scene.reads(ZERO, GOOD)
    scene.reader.listener.revoked([ZERO])
    scene.reader.listener.assigned([ZERO])
    scene.intake.reread(old, 0)
    scene.intake.hold(old)
    assert scene.reader.asked == []


def test_held_lane_stops_reading_until_its_probe() -> None:
    scene = Scene()
    scene.lane().state = LaneState.HELD
    scene.intake.hold(scene.lane())
    scene.intake.reread(scene.lane(), 3)
    scene.intake.release(scene.lane())
    assert [call for call, _, _ in scene.reader.asked] == ["pause", "reposition", "pause", "resume"]


def test_unread_lane_is_not_repositioned() -> None:
    scene = Scene()
    scene.intake.reread(scene.lane(), scene.lane().rewind("next"))
    assert scene.reader.asked == []


@pytest.mark.parametrize(
    ("committed", "first", "begins"), [(None, 0, 5), (Mark(42), 0, 42), (None, 8, 8), (Mark(95), 2, 2)]
)
def test_partition_without_a_position_begins_where_it_should(committed: Mark | None, first: int, begins: int) -> None:
    scene = Scene()
    scene.reader.mark, scene.reader.first, scene.reader.last = committed, first, 90
    scene.reader.listener.unpositioned(ZERO)
    assert scene.reader.asked == [("reposition", ZERO, begins)]
    assert scene.committable() == {ZERO: begins}


def test_lost_records_make_the_subscription_unhealthy() -> None:
    scene = Scene()
    scene.reader.mark, scene.reader.first, scene.reader.last = Mark(3), 8, 90
    scene.reader.listener.unpositioned(ZERO)
    condition = scene.intake.condition()
    assert (condition.health, condition.reason, condition.since) == (Health.UNHEALTHY, "records_lost", 100.0)
    assert condition.lost_ranges == (LostRange(topic=TOPIC, partition=0, first=3, end=8, at=100.0),)
    assert [(told.event, told.error) for told in scene.services.told] == [(Event.UNHEALTHY, "records_lost")]


def test_records_lost_behind_a_lane_are_counted_from_where_it_was() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD, at=10)
    scene.reader.mark, scene.reader.first, scene.reader.last = Mark(10), 40, 90
    scene.reader.listener.unpositioned(ZERO)
    (lost,) = scene.intake.condition().lost_ranges
    assert ((lost.first, lost.end), len(scene.lane().waiting)) == ((12, 40), 2)
    assert scene.reader.asked == [("reposition", ZERO, 40)]


def test_nothing_is_dispatched_before_the_past_is_known() -> None:
    scene = Scene(size=1)
    scene.lane().known = False
    scene.reads(ZERO, GOOD)
    assert (scene.intake.route.ready(0.0), scene.intake.marks()) == ([], {})


def test_failures_are_remembered_with_the_commit() -> None:
    before = Scene(size=1)
    before.reads(ZERO, GOOD, at=7)
    before.lane().failures, before.lane().failing_since = 3, 50.0
    mark = before.intake.marks()[ZERO]
    after = Scene(size=1, committed=decoded(mark))
    after.reads(ZERO, GOOD, GOOD, at=7)
    (delivery,) = after.intake.route.ready(0.0)
    assert (mark.offset, delivery.failures, len(delivery.batches)) == (7, 3, 1)
    assert after.intake.condition().failing_since == 50.0


def test_held_lane_is_held_by_whoever_reads_on() -> None:
    scene = Scene(committed=Mark(7, Memo(failures=5, probes=4)))
    assert (scene.lane().state, scene.lane().failed_probes) == (LaneState.HELD, 4)


def test_topic_with_another_uuid_is_another_lane_from_its_beginning() -> None:
    scene = Scene(committed=Mark(50, Memo(topic_id="first", failures=2)))
    scene.reads(ZERO, GOOD, at=50)
    scene.reader.first, scene.reader.last = 3, 900
    old = scene.lane()
    scene.intake.saw_topics(Topics(partitions={TOPIC: 2}, ids={TOPIC: "second"}))
    assert scene.lane() is not old
    assert (scene.lane().topic_id, scene.lane().failures) == ("second", 0)
    assert ("reposition", ZERO, 3) in scene.reader.asked
    assert (scene.intake.condition().lost_ranges, scene.committable()[ZERO]) == ((), 3)


def test_stored_start_is_not_that_of_a_topic_made_again() -> None:
    scene = Scene(topic_id="first")
    scene.intake.saw_topics(Topics(partitions={TOPIC: 2}, ids={TOPIC: "second"}))
    scene.reader.last = 90
    scene.reader.listener.unpositioned(ZERO)
    assert scene.reader.asked[-1] == ("reposition", ZERO, 0)


def test_batch_that_fails_for_five_minutes_makes_unhealthy() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD)
    scene.intake.failed(Exchange(100.0, "msg_1", 503, body=b"busy", error="http_503"))
    scene.lane().failing_since = 100.0
    scene.services.now = 100.0 + UNHEALTHY_AFTER_S - 1
    scene.intake.look_after()
    before = scene.intake.condition()
    scene.services.now += 1
    scene.intake.look_after()
    after = scene.intake.condition()
    assert (before.health, before.failing_since) == (Health.HEALTHY, 100.0)
    assert (after.health, after.reason, after.last_failure) == (Health.UNHEALTHY, "http_503", "http_503: busy")


def test_condition_says_how_far_behind_it_is() -> None:
    scene = Scene()
    scene.reader.last = 40
    scene.reads(ZERO, SMALL, at=9)
    scene.intake.look_after()
    assert scene.intake.condition().lag == 30


def test_topic_made_again_is_read_from_its_beginning() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, SMALL, SMALL, at=50)
    scene.committable()
    scene.reader.mark, scene.reader.last = Mark(53), 2
    scene.reader.listener.unpositioned(ZERO)
    scene.reads(ZERO, GOOD, GOOD)
    assert [fragment.offset for fragment in scene.lane().waiting] == [0, 1]
    assert scene.committable() == {ZERO: 0}


def test_large_lane_is_paused_and_resumed() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, *[GOOD] * 100)
    assert scene.reader.asked == [("pause", ZERO, 0)]
    lane = scene.lane()
    while lane.waiting:
        batch = lane.cut(1, 1)
        lane.settle(1, len(batch.body))
    scene.reads(ONE, SMALL)
    assert scene.reader.asked[1:] == [("resume", ZERO, 0)]


def test_idle_consumer_is_looked_at_more_rarely() -> None:
    scene = Scene()
    waits = []
    for idle_s in (0.0, 0.1, 0.4, 60.0):
        scene.intake.poll(scene.services.now + idle_s, 0.001)
        waits.append(scene.intake.poll_at - scene.services.now - idle_s)
    assert waits == pytest.approx([0.001, 0.025, 0.1, 0.2])


def test_closing_commits_every_lane_that_was_read() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD)
    scene.intake.close()
    assert [offsets(marks) for marks in scene.reader.closed] == [{ZERO: 1}]


def test_closed_intake_commits_and_seeks_no_more() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD)
    lane = scene.lane()
    scene.intake.close()
    scene.reader.listener.revoked([ZERO, ONE])
    scene.intake.reread(lane, 0)
    assert (scene.reader.commits, scene.reader.asked) == ([], [])


def test_condition_counts_filter_errors() -> None:
    scene = Scene()
    scene.intake.saw_topics(Topics(partitions={TOPIC: 2, "other": 9}, ids={}))
    condition = scene.intake.condition()
    assert [(topic.topic, topic.partitions) for topic in condition.topics] == [(TOPIC, 2)]
    assert (condition.filter_errors, condition.last_filter_error) == (0, "")


def test_reposition_that_failed_is_tried_again() -> None:
    scene = Scene()
    scene.reads(ZERO, GOOD, GOOD)
    scene.reader.gone.add(ZERO)
    scene.intake.reread(scene.lane(), scene.lane().rewind("next"))
    scene.reads(ZERO, GOOD, at=2)
    scene.reader.gone.clear()
    ((_, again),) = scene.services.later
    again()
    scene.reads(ZERO, GOOD, GOOD)
    assert scene.reader.asked == [("reposition", ZERO, 0)]
    assert [fragment.offset for fragment in scene.lane().waiting] == [0, 1]


def test_commit_that_failed_is_said_again() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.committable()
    scene.reader.listener.uncommitted([ZERO, Partition("gone", 0)])
    assert scene.committable() == {ZERO: 1}


def test_condition_goes_on_where_it_was() -> None:
    was = Condition(subscription_id="s", health=Health.UNHEALTHY, reason="http_500", since=7.0, delivered=5, filtered=6)
    scene = Scene(previous=was)
    scene.reads(ZERO, SMALL)
    now = scene.intake.condition()
    assert (now.health, now.reason, now.since, now.delivered, now.filtered) == (was.health, "http_500", 7.0, 5, 7)


class Slow(Matcher):
    """Takes a second a record, on the services' clock."""

    def __init__(self, services: HandServices) -> None:
        super().__init__(())
        self.services = services

    def matches(self, value: bytes | None) -> bool:
        self.services.now += 1.0
        return value is not None


def test_slow_filters_leave_the_rest_for_the_next_turn() -> None:
    scene = Scene()
    scene.filters_by(Slow(scene.services))
    scene.reads(ZERO, *[GOOD] * 100)
    first = len(scene.lane().waiting)
    scene.intake.poll(scene.services.now, 0.001)
    assert (first, len(scene.lane().waiting)) == (FIRST_SLICE, FIRST_SLICE + FIRST_SLICE // 4)


def test_unread_records_of_a_rewound_lane_are_read_again_not_taken() -> None:
    scene = Scene()
    scene.filters_by(Slow(scene.services))
    scene.reads(ZERO, *[GOOD] * 100)
    lane = scene.lane()
    scene.intake.reread(lane, lane.rewind("another"))
    scene.intake.poll(scene.services.now, 0.001)
    assert (len(lane.waiting), scene.reader.asked[-1]) == (0, ("reposition", ZERO, 0))


def test_held_lane_keeps_the_subscription_unhealthy() -> None:
    scene = Scene()
    scene.intake.become(Health.UNHEALTHY, "http_500")
    scene.lane(ONE).state = LaneState.HELD
    scene.intake.delivered()
    held = scene.intake.condition().health
    scene.lane(ONE).state = LaneState.FLOWING
    scene.intake.delivered()
    assert (held, scene.intake.condition().health) == (Health.UNHEALTHY, Health.HEALTHY)


def test_lost_partition_is_not_committed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.reader.listener.lost([ZERO])
    assert (scene.reader.commits, (TOPIC, 0) in scene.intake.route.lanes) == ([], False)


def test_missing_topic_makes_unhealthy_until_it_is_there() -> None:
    scene = Scene()
    scene.intake.saw_topics(Topics(partitions={}, ids={}))
    scene.intake.delivered()
    without = scene.intake.condition()
    scene.intake.saw_topics(Topics(partitions={TOPIC: 1}, ids={}))
    assert (without.health, without.reason) == (Health.UNHEALTHY, "topic_missing")
    assert scene.intake.condition().health is Health.HEALTHY
