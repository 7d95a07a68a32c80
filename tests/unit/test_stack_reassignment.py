"""Plans of which brokers hold partitions. Oracle: counts of the planned assignment; no broker is started."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.errors import ChangeRefused
from stack.kafka_reassignment import Assignment, Partition, Replicas, document, drain, share


@st.composite
def clusters(draw: st.DrawFn, spare: int = 0) -> tuple[list[int], dict[Partition, Replicas]]:
    """Some brokers, at least `spare` more than replicas, and the replicas of topics, which may be crowded on a few."""
    brokers = list(range(1, draw(st.integers(1 + spare, 7)) + 1))
    copies = st.integers(1, len(brokers) - spare)
    placed: dict[Partition, Replicas] = {}
    for topic in range(draw(st.integers(1, 3))):
        count = draw(copies)
        for number in range(draw(st.integers(1, 8))):
            placed[f"topic-{topic}", number] = tuple(draw(st.permutations(brokers))[:count])
    return brokers, placed


def held(assignment: Assignment) -> Counter[int]:
    return Counter(broker for replicas in assignment.values() for broker in replicas)


def led(assignment: Assignment) -> Counter[int]:
    return Counter(replicas[0] for replicas in assignment.values())


def assert_only_moved(before: Assignment, plan: Assignment, allowed: Sequence[int]) -> None:
    """Each partition has as many different replicas as before, new ones only on allowed brokers, and it changes."""
    for partition, replicas in plan.items():
        assert replicas != before[partition]
        assert len(set(replicas)) == len(replicas) == len(before[partition])
        assert set(replicas) - set(before[partition]) <= set(allowed)


@given(clusters())
def test_new_broker_gets_and_leads_its_share(cluster: tuple[list[int], dict[Partition, Replicas]]) -> None:
    brokers, before = cluster
    newcomer = len(brokers) + 1
    plan = share(before, newcomer, [*brokers, newcomer])
    assert_only_moved(before, plan, [newcomer])
    after = {**before, **plan}
    fair = sum(map(len, before.values())) / (len(brokers) + 1)
    assert fair <= held(after)[newcomer] < fair + 1
    assert led(after)[newcomer] >= len(before) / (len(brokers) + 1)
    if all(len(replicas) > 1 for replicas in before.values()):
        assert led(after)[newcomer] < len(before) / (len(brokers) + 1) + 1


@given(st.integers(1, 6), st.integers(1, 30))
def test_balanced_cluster_stays_balanced(broker_count: int, partitions: int) -> None:
    brokers = range(1, broker_count + 1)
    before = {("topic", number): (brokers[number % broker_count],) for number in range(partitions)}
    after = {**before, **share(before, broker_count + 1, range(1, broker_count + 2))}
    counts = [held(after)[broker] for broker in range(1, broker_count + 2)]
    assert max(counts) - min(counts) <= 1


def test_new_broker_does_not_lead_all_that_it_gets_from_a_leader() -> None:
    before: dict[Partition, Replicas] = {("topic", number): (1, 2 + number % 3) for number in range(6)}
    after = {**before, **share(before, 5, range(1, 6))}
    assert (held(after)[5], led(after)[5]) == (3, 2)


def test_share_of_a_broker_that_has_it_is_no_plan() -> None:
    before: dict[Partition, Replicas] = {("topic", 0): (1, 2), ("topic", 1): (2, 1)}
    assert share(before, 2, [1, 2]) == {}


@given(clusters(spare=1), st.data())
def test_drained_broker_holds_nothing(
    cluster: tuple[list[int], dict[Partition, Replicas]], data: st.DataObject
) -> None:
    brokers, before = cluster
    leaving = data.draw(st.sampled_from(brokers))
    others = [broker for broker in brokers if broker != leaving]
    plan = drain(before, leaving, others)
    assert_only_moved(before, plan, others)
    assert plan.keys() == {partition for partition, replicas in before.items() if leaving in replicas}
    assert not held({**before, **plan})[leaving]


def test_replicas_of_a_drained_broker_are_spread_and_so_is_the_lead() -> None:
    before = {("topic", number): (4, 1 + number % 3) for number in range(6)}
    after = drain(before, 4, [1, 2, 3])
    assert set(held(after).values()) == {4}
    assert sorted(led(after)) == [1, 2, 3]


def test_killed_broker_gets_neither_replicas_nor_the_lead() -> None:
    before: dict[Partition, Replicas] = {("topic", 0): (4, 1, 2), ("topic", 1): (2, 3, 1), ("topic", 2): (3, 2, 1)}
    assert drain(before, 4, [2, 3]) == {("topic", 0): (3, 1, 2)}


def test_more_replicas_than_brokers_are_refused() -> None:
    with pytest.raises(
        ChangeRefused, match=r"broker 4 cannot be removed: orders has 3 replicas, and the others .* are 2"
    ):
        drain({("orders", 0): (4, 1, 2)}, 4, [1, 2])


def test_document_is_what_the_tool_reads() -> None:
    plan: dict[Partition, Replicas] = {("b", 1): (4, 1), ("a", 0): (2, 3)}
    assert json.loads(document(plan)) == {
        "version": 1,
        "partitions": [
            {"topic": "a", "partition": 0, "replicas": [2, 3]},
            {"topic": "b", "partition": 1, "replicas": [4, 1]},
        ],
    }
