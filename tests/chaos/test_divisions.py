"""Batches that the endpoint refuses as a whole, while ingest, the worker and Redis are killed at random.

The endpoint answers 413 above a size, and 422 when one of certain records is among them. Each of these must be
dead-lettered once, and every other record must arrive, in order.
"""

import json
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.chaos import faults
from tests.chaos.environment import Site
from tests.chaos.findings import FaultWindow, Watched
from tests.chaos.report import Report
from tests.chaos.rounds import run_round
from tests.chaos.scenario import COMMITTED_WITHIN_S, Scenario

KILLS = (faults.INGEST_KILLED, faults.WORKER_KILLED, faults.REDIS_KILLED, faults.REDIS_FLUSHED)
ROUNDS = 4
LIMIT_BYTES = 4000
"""Some 15 records."""

PER_S = 80.0
"""A poisoned record takes some ten requests after each other, which a busy machine has to keep up with."""

POISONED_EVERY = 41
DIVIDING_S = 2.0
"""So soon before a fault a batch was refused: there are two poisoned records a second."""

RETRY = {"on_exhausted": "dead_letter", "on_rejected": "split"}


def is_poisoned(number: int) -> bool:
    return number % POISONED_EVERY == 0


def is_accepted(number: int) -> bool:
    return not is_poisoned(number)


def too_large(length: int, _numbers: Sequence[int]) -> int:
    return 413 if length > LIMIT_BYTES else 200


def judge(length: int, numbers: Sequence[int]) -> int:
    status = too_large(length, numbers)
    return 422 if status == 200 and any(is_poisoned(number) for number in numbers) else status


@pytest.mark.chaos
def test_divided_batches_lose_nothing_whatever_is_killed(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("divided batches", site, report) as scenario:
        scenario.rows_by_label = True
        splitting = [
            scenario.subscribe(label, wants=is_accepted, size=size, judge=judge, retry=RETRY)
            for label, size in (("batches of 50", 50), ("mixed batches", 1000))
        ]
        scenario.subscribe("413 alone, with the default retry", size=200, judge=too_large)
        load = scenario.load(PER_S)
        for _ in range(ROUNDS):
            assert_dividing(scenario, splitting, run_round(scenario, KILLS))
        load.stop()
        poisoned = sorted(number for number in load.sent if is_poisoned(number))
        for watched in splitting:
            dead = dead_lettered(site, watched, len(poisoned))
            assert [number for number, _, _ in dead] == poisoned, f"{watched.label}: each is dead-lettered once"
            assert {cause for _, cause, _ in dead} == {"http_422"}
            assert {attempts for _, _, attempts in dead} == {1}
        scenario.note(f"{len(poisoned)} poisoned records; refused requests: {refused(scenario)}")


def assert_dividing(scenario: Scenario, splitting: Sequence[Watched], window: FaultWindow) -> None:
    """These subscriptions divided batches when the first fault of a round began."""
    began_at = min(
        part.began_at for part in scenario.windows if part.began_at >= window.began_at and part is not window
    )
    for watched in splitting:
        times = [refusal.at for refusal in watched.receivers[0].refusals if refusal.records > 1]
        assert any(began_at - DIVIDING_S <= at <= began_at for at in times), f"{watched.label} divided nothing then"


def dead_lettered(site: Site, watched: Watched, count: int) -> list[tuple[int, str, int]]:
    """The load's number, cause and attempts of each dead letter, when there are so many."""
    site.wait_until(lambda: len(site.pipeline.dead_letters(watched.id)) >= count, COMMITTED_WITHIN_S)
    rows = site.pipeline.dead_letters(watched.id)
    return sorted((json.loads(bytes(row["value"]))["n"], row["cause"], row["attempts"]) for row in rows)


def refused(scenario: Scenario) -> dict[int, int]:
    """How many requests were refused with each status."""
    return Counter(refusal.status for watched in scenario.watched for refusal in watched.receivers[0].refusals)
