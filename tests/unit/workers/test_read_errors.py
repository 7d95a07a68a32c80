"""Errors that Kafka reports: which problems the status shows, and when they end."""

import pytest

from tests.harness.consumer_events import WELL, ended, passes, reasons, seeks
from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import GOOD, ONE, SMALL, ZERO, Scene
from webhookd.flow.batching.circuit_breaker import CircuitState
from webhookd.flow.monitoring.kafka_read_errors import (
    ALL_PARTITIONS,
    GROUP,
    PROBE_INTERVAL_S,
    PROBLEM_AFTER_S,
    STARTUP_GRACE_S,
)
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from workers.ingest.consumer.consumer_events import REFETCHES_AT_ONCE


@pytest.mark.parametrize(
    ("place", "name", "code", "detail"),
    [
        (ZERO, "topic_authorization_failed", "topic_denied", "orders/0: topic_authorization_failed: said"),
        (
            Partition(TOPIC, ALL_PARTITIONS),
            "topic_authorization_failed",
            "topic_denied",
            "orders: topic_authorization_failed: ",
        ),
        (GROUP, "group_authorization_failed", "group_denied", "group_authorization_failed: said"),
        (ZERO, "bad_msg", "read_failed", "orders/0: bad_msg: said"),
    ],
)
def test_lasting_error_is_a_problem(place: Partition, name: str, code: str, detail: str) -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(place, name, "said")
    seen = Topics(denied=frozenset({TOPIC})) if place.number == ALL_PARTITIONS and place != GROUP else WELL
    before, after = passes(scene, PROBLEM_AFTER_S, seen), passes(scene, 1, seen)
    assert (before.health, after.health, after.reason) == (Health.HEALTHY, Health.UNHEALTHY, code)
    assert after.problems[0].detail.startswith(detail)
    assert [activity.error for activity in scene.services.activities] == [code]


@pytest.mark.parametrize("values", [(), (SMALL,)])
def test_reading_ends_an_error(values: tuple[bytes, ...]) -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    unhealthy = passes(scene, PROBLEM_AFTER_S + 1)
    ended(scene, ZERO, 9, *values)
    assert (reasons(unhealthy), reasons(passes(scene, STARTUP_GRACE_S - PROBLEM_AFTER_S))) == (["topic_denied"], [])


def test_error_is_not_ended_by_records_that_came_before_it() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.end_reached(ZERO, 2)
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.reads(ZERO, SMALL, SMALL)
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1)) == ["topic_denied"]


def test_records_alone_end_an_error() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    passes(scene, PROBLEM_AFTER_S + 1)
    scene.consumer.poll(scene.services.now, 0.001)
    scene.reads(ZERO, SMALL)
    assert reasons(passes(scene, STARTUP_GRACE_S - PROBLEM_AFTER_S)) == []


def test_assignment_ends_the_denial_of_a_group() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(GROUP, "group_authorization_failed", "said")
    denied = passes(scene, PROBLEM_AFTER_S + 1)
    scene.kafka_consumer.listener.assigned([ZERO, ONE])
    assert (reasons(denied), reasons(passes(scene, STARTUP_GRACE_S - PROBLEM_AFTER_S))) == (["group_denied"], [])


def test_error_of_one_partition_is_not_ended_by_another() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    ended(scene, ONE, 9, SMALL)
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1)) == ["topic_denied"]


def test_partition_with_an_error_is_fetched_again() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL, GOOD, at=3)
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    passes(scene, PROBE_INTERVAL_S - 1)
    early = seeks(scene)
    passes(scene, 1)
    assert (early, seeks(scene)) == ([], [(ZERO, 5)])
    passes(scene, PROBE_INTERVAL_S)
    assert seeks(scene) == [(ZERO, 5), (ZERO, 5)]
    assert scene.lane().ledger.open_count == 1


def test_paused_partition_is_not_fetched_again_and_no_problem() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.lane().circuit.state = CircuitState.OPEN
    scene.consumer.pause(scene.lane())
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    held = passes(scene, PROBLEM_AFTER_S + 1)
    scene.lane().circuit.state = CircuitState.CLOSED
    scene.consumer.resume(scene.lane())
    assert (reasons(held), seeks(scene), reasons(passes(scene, 1))) == ([], [], ["topic_denied"])


def test_partitions_with_errors_are_fetched_again_in_round_robin() -> None:
    scene = Scene()
    many = [Partition(TOPIC, number) for number in range(round(PROBE_INTERVAL_S + 1) * REFETCHES_AT_ONCE)]
    scene.kafka_consumer.listener.assigned(many)
    for partition in many:
        scene.reads(partition, SMALL)
        scene.kafka_consumer.listener.failed(partition, "unknown", "said")
    scene.consumer.poll(scene.services.now, 0.001)
    scene.kafka_consumer.asked.clear()
    passes(scene, 2 * PROBE_INTERVAL_S)
    assert sorted(partition for partition, _ in seeks(scene)) == many


def test_time_without_brokers_does_not_count() -> None:
    scene = Scene()
    passes(scene, 1)
    scene.kafka_consumer.listener.failed(ZERO, "unknown", "said")
    passes(scene, PROBLEM_AFTER_S, seen=None)
    before, after = passes(scene, PROBLEM_AFTER_S), passes(scene, 1)
    assert (reasons(before), reasons(after)) == ([], ["read_failed"])


@pytest.mark.parametrize(("every_s", "apart_s"), [(1.0, 6.0), (10.0, 15.0), (30.0, 35.0)])
def test_error_that_lasts_between_rare_checks_is_a_problem(every_s: float, apart_s: float) -> None:
    scene = Scene(commit_interval_s=every_s)
    passes(scene, 1)
    scene.kafka_consumer.listener.failed(ZERO, "unknown", "said")
    for _ in range(round(2 * PROBLEM_AFTER_S / every_s)):
        scene.services.now += apart_s
        scene.consumer.update_topics(WELL)
    assert reasons(scene.consumer.status()) == ["read_failed"]


def test_error_under_another_name_lasts_since_it_began() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "unknown", "said")
    passes(scene, PROBLEM_AFTER_S)
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    assert reasons(passes(scene, 1)) == ["topic_denied"]


def test_error_of_a_group_with_assignments_is_no_problem() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(GROUP, "group_max_size_reached", "said")
    with_lanes = reasons(passes(scene, PROBLEM_AFTER_S + 1))
    scene.kafka_consumer.listener.revoked([ZERO, ONE])
    early, without = reasons(passes(scene, PROBLEM_AFTER_S - 1)), reasons(passes(scene, 1))
    scene.kafka_consumer.listener.assigned([ZERO, ONE])
    assert (with_lanes, early, without) == ([], [], ["read_failed"])
    assert reasons(passes(scene, STARTUP_GRACE_S)) == []


def test_commit_that_keeps_failing_is_a_problem() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    scene.kafka_consumer.listener.commit_failed([ZERO], "not_coordinator", "said")
    ended(scene, ZERO, 1, SMALL)
    failing = passes(scene, PROBLEM_AFTER_S + 1)
    scene.kafka_consumer.listener.committed([ZERO])
    assert reasons(failing) == ["commit_failed"]
    assert reasons(passes(scene, STARTUP_GRACE_S)) == []


@pytest.mark.parametrize("name", ["all_brokers_down", "transport", "unknown_topic_or_part"])
def test_error_that_another_problem_shows_is_no_problem(name: str) -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(GROUP, name, "said")
    scene.kafka_consumer.listener.failed(ZERO, name, "said")
    scene.kafka_consumer.listener.commit_failed([ZERO], name, "said")
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1)) == []


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Topics(denied=frozenset({TOPIC})), "topic_denied"),
        (Topics(partitions={TOPIC: 2}, leaderless={TOPIC: (1,)}), "read_failed"),
    ],
)
def test_state_of_a_topic_in_the_metadata_is_a_problem(seen: Topics, code: str) -> None:
    scene = Scene()
    unhealthy = passes(scene, PROBLEM_AFTER_S + 1, seen)
    assert (reasons(unhealthy), reasons(passes(scene, STARTUP_GRACE_S))) == ([code], [])


def test_denied_topic_is_not_called_missing() -> None:
    scene = Scene()
    missing = passes(scene, 1, Topics(partitions={TOPIC: 0}))
    denied = passes(scene, PROBLEM_AFTER_S + 1, Topics(denied=frozenset({TOPIC})))
    assert (reasons(missing), reasons(denied)) == (["topic_missing"], ["topic_denied"])


def test_missing_topic_has_no_other_problem() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1, Topics(partitions={TOPIC: 0}))) == ["topic_missing"]


def test_error_of_a_revoked_partition_does_not_count() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.kafka_consumer.listener.revoked([ZERO])
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1)) == []


def test_error_of_a_revoked_partition_is_forgotten_when_it_is_assigned_again() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.failed(ZERO, "topic_authorization_failed", "denied")
    scene.kafka_consumer.listener.commit_failed([ZERO], "not_coordinator", "said")
    scene.kafka_consumer.listener.revoked([ZERO])
    passes(scene, PROBLEM_AFTER_S + 1)
    scene.kafka_consumer.listener.assigned([ZERO])
    assert reasons(passes(scene, 1)) == []


def test_failed_last_commit_does_not_count_when_its_partition_is_assigned_again() -> None:
    scene = Scene()
    scene.kafka_consumer.listener.revoked([ZERO])
    scene.kafka_consumer.listener.commit_failed([ZERO], "illegal_generation", "said")
    passes(scene, PROBLEM_AFTER_S + 1)
    scene.kafka_consumer.listener.assigned([ZERO])
    assert reasons(passes(scene, 1)) == []


@pytest.mark.parametrize("problem", ["topic_denied", "group_denied", "commit_failed", "read_failed"])
def test_problem_from_before_the_start_ends_when_nothing_fails(problem: str) -> None:
    was = SubscriptionStatus(
        subscription_id="s",
        health=Health.UNHEALTHY,
        reason=problem,
        problems=(Problem(code=problem, since=7.0, standing=True),),
    )
    scene = Scene(previous=was)
    early, late = passes(scene, STARTUP_GRACE_S - 1), passes(scene, 1)
    assert (reasons(early), reasons(late)) == ([problem], [])


def test_detail_names_a_few_of_many_partitions() -> None:
    scene = Scene()
    many = [Partition(TOPIC, number) for number in range(9)]
    scene.kafka_consumer.listener.assigned(many)
    for partition in many:
        scene.kafka_consumer.listener.failed(partition, "topic_authorization_failed", "denied")
    (problem,) = passes(scene, PROBLEM_AFTER_S + 1).problems
    places = "orders/0, orders/1, orders/2, orders/3, orders/4, and 4 more"
    assert problem.detail == f"{places}: topic_authorization_failed: denied"


def test_commit_that_cannot_be_requested_counts_as_failed() -> None:
    scene = Scene()
    scene.reads(ZERO, SMALL)
    passes(scene, 1)
    scene.kafka_consumer.broken = True
    scene.consumer.commits.commit()
    assert reasons(passes(scene, PROBLEM_AFTER_S + 1)) == ["commit_failed"]
