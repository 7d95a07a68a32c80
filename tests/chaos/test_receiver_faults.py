"""Endpoints that misbehave at the same time, one subscription each, beside a healthy one that must not be affected."""

import pytest

from tests.chaos.environment import DEADLINE_S, LONGEST_PROBE_S, Site
from tests.chaos.findings import Cost
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.harness.checking_receiver import Behaviour

FAULTS = (
    Behaviour.REFUSE,
    Behaviour.HANG,
    Behaviour.ERROR,
    Behaviour.LIMIT,
    Behaviour.BREAK,
    Behaviour.DRIP,
)
LASTS_S = 60.0
PER_S = 100.0
COST = Cost(recovery_s=LONGEST_PROBE_S + DEADLINE_S, why="as long as they fail + the longest wait for a probe")
HEALTHY_STALL_S = DEADLINE_S
"""A subscription that waited for another one's endpoint would wait at least for its request deadline."""


@pytest.mark.chaos
def test_failing_receivers_lose_nothing_and_harm_nobody(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("receiver", site, report) as scenario:
        scenario.rows_by_label = True
        healthy = scenario.subscribe("healthy beside them")
        failing = {fault: scenario.subscribe(fault.value) for fault in FAULTS}
        scenario.load(PER_S)
        healthy.windows, healthy.stall_bound_s = [], HEALTHY_STALL_S
        with scenario.fault_window(COST):
            for fault, watched in failing.items():
                watched.receivers[0].behave(fault)
            site.run_for(LASTS_S * scenario.chance.uniform(0.9, 1.1))
            for watched in failing.values():
                watched.receivers[0].behave(Behaviour.ANSWER)
