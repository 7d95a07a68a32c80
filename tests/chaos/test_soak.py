"""Random combinations of all faults: rounds of two or three at once, with a recovery after each, for a given time."""

import time
from dataclasses import replace

import pytest

from tests.chaos import faults
from tests.chaos.environment import Site
from tests.chaos.report import Report
from tests.chaos.rounds import run_round
from tests.chaos.scenario import Scenario

PER_S = 120.0

SHORTENED = {faults.POSTGRES_STOPPED: (8.0, 20.0), faults.REDIS_FROZEN: (4.0, 20.0)}
SERVICE_FAULTS = (
    *(replace(fault, lasts_s=SHORTENED.get(fault, fault.lasts_s)) for fault in faults.SERVICE_FAULTS),
    faults.SECOND_INGEST,
)


@pytest.mark.soak
def test_all_faults_mixed_lose_nothing(site: Site, report: Report, request: pytest.FixtureRequest) -> None:
    site.ensure_running()
    with Scenario("soak", site, report) as scenario:
        watched = [
            *scenario.subscribe_three(),
            scenario.subscribe("each, too"),
            scenario.subscribe("batches of 20", size=20),
        ]
        scenario.load(PER_S)
        until = time.monotonic() + float(request.config.getoption("--soak"))
        longest_s = 0.0
        while time.monotonic() < until:
            bad = [faults.receiver_fault(one, scenario.chance.choice(faults.BAD)) for one in watched]
            longest_s = max(longest_s, run_round(scenario, [*SERVICE_FAULTS, *bad]).longest_stall_s)
        for one in watched:
            one.stall_bound_s = longest_s + one.batching_wait_s
