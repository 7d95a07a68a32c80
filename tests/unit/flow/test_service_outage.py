"""What a process says about a service that it waits for; the clock is an argument."""

import pytest

from webhookd.flow.monitoring.service_outage import Available, ServiceOutage, Waiting

DETAIL = "Connection refused"


@pytest.fixture
def outage() -> ServiceOutage:
    return ServiceOutage()


def test_first_failure_is_said_at_once_and_again_less_and_less_often(outage: ServiceOutage) -> None:
    said = {second: outage.failed(100.0 + second, DETAIL) for second in range(700)}
    assert [second for second, line in said.items() if line] == [0, 10, 30, 60, 360, 660]
    assert said[30] == Waiting(since_s=30.0, detail=DETAIL)


def test_return_is_said_once_with_its_duration(outage: ServiceOutage) -> None:
    outage.failed(100.0, DETAIL)
    assert outage.answered(107.5) == Available(after_s=7.5)
    assert outage.answered(108.5) is None


def test_next_outage_is_said_at_once(outage: ServiceOutage) -> None:
    outage.failed(100.0, DETAIL)
    outage.answered(101.0)
    assert outage.failed(102.0, DETAIL) == Waiting(since_s=0.0, detail=DETAIL)


def test_service_that_always_answers_is_not_mentioned(outage: ServiceOutage) -> None:
    assert [outage.answered(float(second)) for second in range(3)] == [None] * 3


def test_frozen_process_says_one_line_for_all_the_times_it_missed(outage: ServiceOutage) -> None:
    outage.failed(0.0, DETAIL)
    assert outage.failed(100.0, DETAIL) is not None
    assert outage.failed(101.0, DETAIL) is None


def test_another_cause_of_the_same_outage_is_said_at_once(outage: ServiceOutage) -> None:
    outage.failed(100.0, DETAIL, "kafka_unavailable")
    refused = outage.failed(101.0, "the password is wrong", "kafka_authentication_failed")
    assert refused == Waiting(since_s=1.0, detail="the password is wrong")
    assert outage.failed(102.0, "the password is wrong", "kafka_authentication_failed") is None


def test_causes_that_alternate_are_said_once_each(outage: ServiceOutage) -> None:
    said = [outage.failed(float(second), DETAIL, ("one", "other")[second % 2]) for second in range(10)]
    assert [line is not None for line in said] == [True, True] + [False] * 8
