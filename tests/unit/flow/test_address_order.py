"""The order of a host's addresses, the times of the attempts, and the family that worked."""

import pytest

from webhookd.flow.attempt.address_order import (
    HOSTS_REMEMBERED,
    REMEMBERED_S,
    AttemptSchedule,
    Family,
    FamilyMemory,
    in_turns,
)


@pytest.mark.parametrize(
    ("addresses", "first", "ordered"),
    [
        ([], None, []),
        (["::1"], Family.V4, ["::1"]),
        (["::1", "::2", "1.1.1.1", "2.2.2.2"], None, ["::1", "1.1.1.1", "::2", "2.2.2.2"]),
        (["1.1.1.1", "2.2.2.2", "::1"], None, ["1.1.1.1", "::1", "2.2.2.2"]),
        (["::1", "::2", "::3", "1.1.1.1"], None, ["::1", "1.1.1.1", "::2", "::3"]),
        (["::1", "::2", "1.1.1.1"], Family.V4, ["1.1.1.1", "::1", "::2"]),
        (["::ffff:1.1.1.1", "1.1.1.1"], None, ["::ffff:1.1.1.1", "1.1.1.1"]),
    ],
)
def test_families_take_turns(addresses: list[str], first: Family | None, ordered: list[str]) -> None:
    assert in_turns(addresses, first) == ordered


def test_next_attempt_waits_for_the_delay() -> None:
    schedule = AttemptSchedule(["::1", "1.1.1.1", "2.2.2.2"], 0.25)
    assert [schedule.take(now) for now in (7.0, 7.24, 7.25, 7.49, 7.5, 9.0)] == [
        "::1", None, "1.1.1.1", None, "2.2.2.2", None,
    ]  # fmt: skip
    assert schedule.is_empty


def test_next_attempt_follows_a_failure_at_once() -> None:
    schedule = AttemptSchedule(["::1", "1.1.1.1", "2.2.2.2"], 0.25)
    schedule.take(7.0)
    schedule.hurry()
    assert [schedule.take(7.0), schedule.take(7.0)] == ["1.1.1.1", None]


def test_interrupted_attempts_come_first_again() -> None:
    schedule = AttemptSchedule(["::1", "1.1.1.1", "2.2.2.2"], 0.0)
    taken = [str(schedule.take(1.0)), str(schedule.take(1.0))]
    schedule.put_back(taken)
    assert [schedule.take(1.0) for _ in range(3)] == ["::1", "1.1.1.1", "2.2.2.2"]


def test_cleared_schedule_has_no_attempt() -> None:
    schedule = AttemptSchedule(["::1", "1.1.1.1"], 0.25)
    schedule.clear()
    assert schedule.is_empty
    assert schedule.take(1.0) is None


@pytest.mark.parametrize(("addresses", "both"), [(["::1", "1.1.1.1"], True), (["1.1.1.1", "2.2.2.2"], False)])
def test_schedule_knows_whether_there_are_both_families(addresses: list[str], both: bool) -> None:
    assert AttemptSchedule(addresses, 0.25).both_families is both


def test_family_that_worked_is_first_for_a_time() -> None:
    memory = FamilyMemory()
    assert memory.first("a.test", 5.0) is None
    memory.remember("a.test", Family.V4, 5.0)
    memory.remember("a.test", Family.V4, 500.0)  # is not prolonged, or the other family would never be tried again
    assert memory.first("a.test", 5.0 + REMEMBERED_S - 0.1) is Family.V4
    assert memory.first("a.test", 5.0 + REMEMBERED_S) is None


def test_other_family_replaces_the_remembered_one() -> None:
    memory = FamilyMemory()
    memory.remember("a.test", Family.V4, 5.0)
    memory.remember("a.test", Family.V6, 6.0)
    assert memory.first("a.test", 6.0) is Family.V6


def test_memory_of_families_is_bounded() -> None:
    memory = FamilyMemory()
    for number in range(HOSTS_REMEMBERED + 1):
        memory.remember(f"{number}.test", Family.V4, 1.0)
    assert memory.first("0.test", 1.0) is None
    assert memory.first("1.test", 1.0) is Family.V4
