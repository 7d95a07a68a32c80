"""Twelve subscriptions on two topics: endpoints fail and recover, ingest is killed, subscriptions change their process.

Whatever a lane is fed from, each subscription gets exactly the records that its filters keep, in order. Oracles: the
jmespath library for the filters, and what every scenario checks. Real: all processes and services.
"""

from collections.abc import Iterator

import pytest

from tests.chaos import faults
from tests.chaos.environment import DEADLINE_S, Site
from tests.chaos.other_member import joins_group
from tests.chaos.report import Report
from tests.chaos.rounds import Planned, run_planned
from tests.chaos.scenario import Scenario
from tests.chaos.shared_topics import SETTINGS, SharedTopics, flapping, together
from tests.harness.lateness import Lateness

ROUNDS = 3
FLAPPING = (4, 6)
"""How many subscriptions' endpoints fail in a round."""

HOPS = 5
"""A record passes so many processes: a busy machine may delay it in each of them."""

pytestmark = pytest.mark.chaos


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """The service with small buffers; a second ingest process is stopped at the end."""
    site.ensure_running(**SETTINGS)
    yield site
    site.remove_process("ingest-2")


def test_endpoints_that_fail_and_recover_lose_nothing_and_harm_nobody(served: Site, report: Report) -> None:
    name = "shared topics: endpoints fail and recover"
    with Lateness() as late, Scenario(name, served, report, topics=2) as scenario:
        SharedTopics(scenario).load()
        single = [watched for watched in scenario.watched if not watched.batching_wait_s]
        well = scenario.chance.sample(single, 3)
        others = [watched for watched in scenario.watched if watched not in well]
        for _ in range(ROUNDS):
            some = scenario.chance.sample(others, scenario.chance.randint(*FLAPPING))
            run_planned(scenario, flapping(scenario.chance, some), together())
        for watched in well:
            watched.windows, watched.stall_bound_s = [], DEADLINE_S + HOPS * late.most_s


def test_ingest_killed_while_endpoints_fail_loses_nothing(served: Site, report: Report) -> None:
    with Scenario("shared topics: ingest kill -9 meanwhile", served, report, topics=2) as scenario:
        SharedTopics(scenario).load()
        chance = scenario.chance
        for processes in ((faults.INGEST_KILLED,), (faults.SECOND_INGEST, faults.INGEST_KILLED)):
            some = chance.sample(scenario.watched, chance.randint(*FLAPPING))
            planned = [*flapping(chance, some), *(meanwhile(scenario, fault) for fault in processes)]
            run_planned(scenario, planned, together(*processes))


def test_rebalances_while_endpoints_fail_lose_nothing(served: Site, report: Report) -> None:
    with Scenario("shared topics: rebalances meanwhile", served, report, topics=2) as scenario:
        SharedTopics(scenario).load()
        chance = scenario.chance
        joined, *some = chance.sample(scenario.watched, 6)
        visits = [meanwhile(scenario, joins_group(watched)) for watched in (joined, some.pop())]
        run_planned(scenario, [*flapping(chance, some), *visits], together(*(visit.fault for visit in visits)))
        with scenario.fault_window(faults.MOVES):
            served.add_process("ingest-2")
        some = chance.sample(scenario.watched, 4)
        frozen = [*flapping(chance, some), meanwhile(scenario, faults.INGEST_FROZEN)]
        run_planned(scenario, frozen, together(faults.INGEST_FROZEN))


def meanwhile(scenario: Scenario, fault: faults.Fault) -> Planned:
    """This fault, some seconds after the endpoints have begun to fail."""
    begins_s = scenario.chance.uniform(1.0, 5.0)
    return Planned(fault=fault, begins_s=begins_s, ends_s=begins_s + scenario.chance.uniform(*fault.lasts_s))
