"""What an intake makes of ends and errors: where its lanes are, what its status says, how far it is behind."""

import pytest

from tests.harness.intakes import GOOD, ONE, SMALL, ZERO, Scene
from tests.harness.lanes import TOPIC
from webhookd.flow.condition import Condition, Health
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.lag import FRESH_S, UNANSWERED_S
from webhookd.flow.lane import LaneState
from webhookd.flow.position import Partition
from webhookd.flow.problem import Problem
from webhookd.flow.read_errors import GROUP, LASTS_S, PROBE_S, SETTLED_S, WHOLE
from webhookd.flow.topics import Topics
from workers.ingest.intake import LONGEST_QUIET_S
from workers.ingest.reading import PROBES_AT_ONCE

WELL = Topics(partitions={TOPIC: 2})


def ended(scene: Scene, partition: Partition, offset: int, *values: bytes, at: int = 0) -> None:
    """The consumer reads these values and then the partition's end."""
    scene.reader.listener.reached(partition, offset)
    scene.reads(partition, *values, at=at)


def passes(scene: Scene, seconds: float, seen: Topics | None = WELL) -> Condition:
    """Time goes by second for second, as the topic watch and the loop's clock tell it; answers the condition."""
    for _ in range(round(seconds)):
        scene.services.now += 1.0
        if seen is not None:
            scene.intake.saw_topics(seen)
        scene.intake.look_after()
    return scene.intake.condition()


class SlowMatcher(Matcher):
    """Takes a second a record, on the services' clock."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(())
        self._scene = scene

    def matches(self, value: bytes | None) -> bool:
        self._scene.services.now += 1.0
        return value is None


def reasons(condition: Condition) -> list[str]:
    return [problem.code for problem in condition.problems]


def repositions(scene: Scene) -> list[tuple[Partition, int]]:
    return [(partition, offset) for call, partition, offset in scene.reader.asked if call == "reposition"]


# Ends.


def test_end_passes_what_no_consumer_sees() -> None:
    scene = Scene()
    ended(scene, ZERO, 512, SMALL, SMALL)
    assert scene.committable() == {ZERO: 512}


def test_end_without_a_record_is_committed() -> None:
    scene = Scene()
    ended(scene, ZERO, 0)
    assert scene.committable() == {ZERO: 0}


def test_end_waits_for_what_is_open() -> None:
    scene = Scene(size=1)
    ended(scene, ZERO, 512, GOOD, at=3)
    before = scene.committable()
    scene.lane().settle(1, 0)
    assert (before, scene.committable()) == ({ZERO: 3}, {ZERO: 512})


def test_old_end_moves_nothing_back() -> None:
    scene = Scene()
    ended(scene, ZERO, 1, SMALL, SMALL, SMALL)
    assert scene.committable() == {ZERO: 3}


def test_end_of_a_lane_that_is_adrift_is_void() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD, at=3)
    scene.lane().rewind("next")
    ended(scene, ZERO, 512)
    assert scene.committable() == {ZERO: 3}


def test_end_from_before_the_lane_moved_is_void() -> None:
    scene = Scene(size=1)
    scene.reads(ZERO, GOOD, at=3)
    scene.reader.listener.reached(ZERO, 512)
    scene.intake.reread(scene.lane(), scene.lane().rewind("next"))
    scene.intake.poll(scene.services.now, 0.001)
    assert scene.committable() == {ZERO: 3}


def test_end_of_a_partition_that_left_is_void() -> None:
    scene = Scene()
    scene.reader.listener.reached(ZERO, 512)
    scene.reader.listener.revoked([ZERO])
    scene.reader.listener.assigned([ZERO])
    scene.intake.poll(scene.services.now, 0.001)
    assert scene.committable() == {}


def test_end_waits_for_records_of_the_next_turn() -> None:
    scene = Scene()
    scene.filters_by(SlowMatcher(scene))
    ended(scene, ZERO, 512, *[SMALL] * 100)
    first = scene.committable()
    for _ in range(100):
        scene.intake.poll(scene.services.now, 0.001)
    assert (first[ZERO] < 100, scene.committable()) == (True, {ZERO: 512})


def test_end_alone_does_not_keep_the_consumer_busy() -> None:
    scene = Scene()
    scene.reader.listener.reached(ZERO, 512)
    busy = scene.intake.poll(scene.services.now + 60.0, 0.001)
    pause_s = scene.intake.poll_at - scene.services.now - 60.0
    assert (busy, round(pause_s, 3)) == (False, LONGEST_QUIET_S)


def test_revoked_partition_commits_the_end_it_reached() -> None:
    scene = Scene()
    ended(scene, ZERO, 512, SMALL)
    scene.reader.listener.revoked([ZERO])
    assert [{p: mark.offset for p, mark in marks.items()} for marks in scene.reader.commits] == [{ZERO: 512}]


# Lag.


def test_lag_is_none_at_the_ends() -> None:
    scene = Scene()
    scene.reader.last = 600  # a transaction is open behind the end that can be read
    ended(scene, ZERO, 512, SMALL)
    ended(scene, ONE, 0)
    assert passes(scene, 1).lag == 0


def test_open_records_at_an_end_are_the_lag() -> None:
    scene = Scene(size=1)
    ended(scene, ZERO, 512, GOOD, at=500)
    ended(scene, ONE, 0)
    assert passes(scene, 1).lag == 12


def test_lag_is_unknown_until_every_lane_has_a_position() -> None:
    scene = Scene()
    ended(scene, ZERO, 512)
    assert passes(scene, 1).lag is None


def test_lag_is_unknown_without_lanes() -> None:
    scene = Scene()
    scene.reader.listener.revoked([ZERO, ONE])
    assert passes(scene, 1).lag is None


def test_lag_of_a_held_lane_is_asked_for() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.lane().state = LaneState.HELD
    scene.reader.last = 40
    scene.intake.look_after()
    assert passes(scene, 1).lag == 35


def test_lag_is_unknown_when_nobody_answers_the_question() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.lane().state = LaneState.HELD
    scene.intake.look_after()
    scene.services.held = []  # the background's questions get no answer from here on
    known, unknown = passes(scene, FRESH_S - 1).lag, passes(scene, 1).lag
    assert (known, unknown) == (0, None)


def test_lag_is_unknown_while_the_brokers_are_silent() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    known, unknown = passes(scene, UNANSWERED_S, seen=None).lag, passes(scene, 1, seen=None).lag
    assert (known, unknown) == (0, None)


def test_lag_of_a_denied_partition_is_asked_for() -> None:
    scene = Scene()
    ended(scene, ZERO, 5)
    ended(scene, ONE, 0)
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.intake.poll(scene.services.now, 0.001)
    scene.reader.last = 40
    passes(scene, 1)
    assert passes(scene, 1).lag == 35


def test_ends_of_a_topic_that_is_not_described_are_not_asked_for() -> None:
    scene = Scene()
    scene.lane().state = LaneState.HELD
    passes(scene, 1, Topics(denied=frozenset({TOPIC})))
    scene.services.held = []
    passes(scene, 60, Topics(denied=frozenset({TOPIC})))
    assert scene.services.held == []


def test_end_of_a_partition_that_left_is_forgotten() -> None:
    scene = Scene()
    scene.lane().state = scene.lane(ONE).state = LaneState.HELD
    scene.reader.last = 40
    scene.intake.look_after()
    scene.services.held = []
    for partition in (ZERO, ONE):
        scene.reader.listener.revoked([partition])
        scene.reader.listener.assigned([partition])
        scene.lane(partition).state = LaneState.HELD
        scene.lane(partition).skip_to(5)
    assert passes(scene, 1).lag is None


# Errors.


@pytest.mark.parametrize(
    ("place", "name", "code", "detail"),
    [
        (ZERO, "topic_authorization_failed", "topic_denied", "orders/0: topic_authorization_failed: said"),
        (Partition(TOPIC, WHOLE), "topic_authorization_failed", "topic_denied", "orders: topic_authorization_failed: "),
        (GROUP, "group_authorization_failed", "group_denied", "group_authorization_failed: said"),
        (ZERO, "bad_msg", "read_failed", "orders/0: bad_msg: said"),
    ],
)
def test_error_that_lasts_is_a_problem(place: Partition, name: str, code: str, detail: str) -> None:
    scene = Scene()
    scene.reader.listener.failed(place, name, "said")
    seen = Topics(denied=frozenset({TOPIC})) if place.number == WHOLE and place != GROUP else WELL
    before, after = passes(scene, LASTS_S, seen), passes(scene, 1, seen)
    assert (before.health, after.health, after.reason) == (Health.HEALTHY, Health.UNHEALTHY, code)
    assert after.problems[0].detail.startswith(detail)
    assert [told.error for told in scene.services.told] == [code]


@pytest.mark.parametrize("values", [(), (SMALL,)])
def test_reading_ends_an_error(values: tuple[bytes, ...]) -> None:
    scene = Scene()
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    unhealthy = passes(scene, LASTS_S + 1)
    ended(scene, ZERO, 9, *values)
    assert (reasons(unhealthy), reasons(passes(scene, SETTLED_S - LASTS_S))) == (["topic_denied"], [])


def test_error_after_what_was_read_is_not_ended_by_it() -> None:
    scene = Scene()
    scene.reader.listener.reached(ZERO, 2)
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.reads(ZERO, SMALL, SMALL)
    assert reasons(passes(scene, LASTS_S + 1)) == ["topic_denied"]


def test_records_alone_end_an_error() -> None:
    scene = Scene()
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    passes(scene, LASTS_S + 1)
    scene.intake.poll(scene.services.now, 0.001)
    scene.reads(ZERO, SMALL)
    assert reasons(passes(scene, SETTLED_S - LASTS_S)) == []


def test_assignment_ends_the_denial_of_a_group() -> None:
    scene = Scene()
    scene.reader.listener.failed(GROUP, "group_authorization_failed", "said")
    denied = passes(scene, LASTS_S + 1)
    scene.reader.listener.assigned([ZERO, ONE])
    assert (reasons(denied), reasons(passes(scene, SETTLED_S - LASTS_S))) == (["group_denied"], [])


def test_error_of_one_partition_is_not_ended_by_another() -> None:
    scene = Scene()
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    ended(scene, ONE, 9, SMALL)
    assert reasons(passes(scene, LASTS_S + 1)) == ["topic_denied"]


def test_partition_with_an_error_is_fetched_anew() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD, at=3)
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    passes(scene, PROBE_S - 1)
    early = repositions(scene)
    passes(scene, 1)
    assert (early, repositions(scene)) == ([], [(ZERO, 5)])
    passes(scene, PROBE_S)
    assert repositions(scene) == [(ZERO, 5), (ZERO, 5)]
    assert scene.lane().ledger.open_count == 1


def test_paused_partition_is_not_fetched_anew_and_not_blamed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.lane().state = LaneState.HELD
    scene.intake.hold(scene.lane())
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    held = passes(scene, LASTS_S + 1)
    scene.lane().state = LaneState.FLOWING
    scene.intake.release(scene.lane())
    assert (reasons(held), repositions(scene), reasons(passes(scene, 1))) == ([], [], ["topic_denied"])


def test_partitions_with_errors_take_turns_to_be_fetched_anew() -> None:
    scene = Scene()
    many = [Partition(TOPIC, number) for number in range(round(PROBE_S + 1) * PROBES_AT_ONCE)]
    scene.reader.listener.assigned(many)
    for partition in many:
        scene.reads(partition, SMALL)
        scene.reader.listener.failed(partition, "unknown", "said")
    scene.intake.poll(scene.services.now, 0.001)
    passes(scene, 2 * PROBE_S)
    assert sorted(partition for partition, _ in repositions(scene)) == many


def test_silence_of_the_brokers_does_not_count() -> None:
    scene = Scene()
    passes(scene, 1)
    scene.reader.listener.failed(ZERO, "unknown", "said")
    passes(scene, LASTS_S, seen=None)
    before, after = passes(scene, LASTS_S), passes(scene, 1)
    assert (reasons(before), reasons(after)) == ([], ["read_failed"])


def test_error_of_a_group_that_works_is_none() -> None:
    scene = Scene()
    scene.reader.listener.failed(GROUP, "group_max_size_reached", "said")
    with_lanes = reasons(passes(scene, LASTS_S + 1))
    scene.reader.listener.revoked([ZERO, ONE])
    without = reasons(passes(scene, 1))
    scene.reader.listener.assigned([ZERO, ONE])
    assert (with_lanes, without) == ([], ["read_failed"])
    assert reasons(passes(scene, SETTLED_S)) == []


def test_commit_that_keeps_failing_is_a_problem() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.reader.listener.uncommitted([ZERO], "not_coordinator", "said")
    ended(scene, ZERO, 1, SMALL)
    failing = passes(scene, LASTS_S + 1)
    scene.reader.listener.committed([ZERO])
    assert reasons(failing) == ["commit_failed"]
    assert reasons(passes(scene, SETTLED_S)) == []


@pytest.mark.parametrize("name", ["all_brokers_down", "transport", "unknown_topic_or_part"])
def test_what_is_told_elsewhere_is_not_told_again(name: str) -> None:
    scene = Scene()
    scene.reader.listener.failed(GROUP, name, "said")
    scene.reader.listener.failed(ZERO, name, "said")
    scene.reader.listener.uncommitted([ZERO], name, "said")
    assert reasons(passes(scene, LASTS_S + 1)) == []


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Topics(denied=frozenset({TOPIC})), "topic_denied"),
        (Topics(partitions={TOPIC: 2}, leaderless={TOPIC: (1,)}), "read_failed"),
    ],
)
def test_what_the_brokers_say_of_a_topic_is_a_problem(seen: Topics, code: str) -> None:
    scene = Scene()
    unhealthy = passes(scene, LASTS_S + 1, seen)
    assert (reasons(unhealthy), reasons(passes(scene, SETTLED_S))) == ([code], [])


def test_denied_topic_is_not_called_missing() -> None:
    scene = Scene()
    missing = passes(scene, 1, Topics(partitions={TOPIC: 0}))
    denied = passes(scene, LASTS_S + 1, Topics(denied=frozenset({TOPIC})))
    assert (reasons(missing), reasons(denied)) == (["topic_missing"], ["topic_denied"])


def test_topic_that_is_gone_has_no_other_problem() -> None:
    scene = Scene()
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    assert reasons(passes(scene, LASTS_S + 1, Topics(partitions={TOPIC: 0}))) == ["topic_missing"]


def test_error_of_a_partition_that_left_does_not_count() -> None:
    scene = Scene()
    scene.reader.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.reader.listener.revoked([ZERO])
    assert reasons(passes(scene, LASTS_S + 1)) == []


@pytest.mark.parametrize("problem", ["topic_denied", "group_denied", "commit_failed", "read_failed"])
def test_problem_from_before_the_start_ends_when_nothing_fails(problem: str) -> None:
    was = Condition(
        subscription_id="s",
        health=Health.UNHEALTHY,
        reason=problem,
        problems=(Problem(code=problem, since=7.0, standing=True),),
    )
    scene = Scene(previous=was)
    early, late = passes(scene, SETTLED_S - 1), passes(scene, 1)
    assert (reasons(early), reasons(late)) == ([problem], [])


def test_detail_names_a_few_of_many_partitions() -> None:
    scene = Scene()
    many = [Partition(TOPIC, number) for number in range(9)]
    scene.reader.listener.assigned(many)
    for partition in many:
        scene.reader.listener.failed(partition, "topic_authorization_failed", "denied")
    (problem,) = passes(scene, LASTS_S + 1).problems
    places = "orders/0, orders/1, orders/2, orders/3, orders/4, and 4 more"
    assert problem.detail == f"{places}: topic_authorization_failed: denied"
