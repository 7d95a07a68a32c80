"""More than one ingest process or worker: some start, stop, freeze or are killed while others run."""

from collections.abc import Iterator

import pytest

from tests.chaos.environment import DEADLINE_S, LEASE_S, Site
from tests.chaos.faults import MOVES
from tests.chaos.findings import SLACK_S, Cost
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario

WORKER_GONE = Cost(recovery_s=LEASE_S + DEADLINE_S, why="lease + request deadline; the other worker goes on")
SUBSCRIPTIONS = 6
CYCLES = 3
PER_S = 60.0

pytestmark = pytest.mark.chaos


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """The service; second processes that a scenario starts are stopped at its end."""
    site.ensure_running()
    yield site
    for name in ("ingest-2", "worker-2"):
        site.remove_process(name)


def test_ingest_processes_that_join_and_leave_lose_nothing(served: Site, report: Report) -> None:
    with Scenario("ingest processes join and leave", served, report) as scenario:
        for number in range(SUBSCRIPTIONS):
            scenario.subscribe(f"subscription {number}").stall_bound_s = MOVES.recovery_s + SLACK_S
        scenario.load(PER_S)
        for _ in range(CYCLES):
            with scenario.fault_window(MOVES):
                served.add_process("ingest-2")
                served.run_for(scenario.chance.uniform(2.0, 4.0))
            with scenario.fault_window(MOVES):
                served.remove_process("ingest-2", kill=scenario.chance.random() < 0.5)
                served.run_for(scenario.chance.uniform(0.0, 1.0))


def test_ingest_frozen_beside_another_loses_nothing(served: Site, report: Report) -> None:
    with Scenario("ingest SIGSTOP beside another", served, report) as scenario:
        for number in range(SUBSCRIPTIONS):
            scenario.subscribe(f"subscription {number}")
        served.add_process("ingest-2")
        scenario.load(PER_S)
        with scenario.fault_window(MOVES):
            served.pipeline.freeze("ingest")
            served.run_for(scenario.chance.uniform(16.0, 18.0))
            served.pipeline.thaw("ingest")
            served.run_for(2.0)


def test_worker_killed_beside_another_loses_nothing(served: Site, report: Report) -> None:
    with Scenario("worker kill -9 beside another", served, report) as scenario:
        scenario.subscribe_three()
        served.add_process("worker-2")
        scenario.load()
        with scenario.fault_window(WORKER_GONE):
            served.remove_process("worker-2", kill=True)
