"""Random combinations of all faults: rounds of two or three at once, with a recovery after each, for a given time."""

import time
from dataclasses import replace

import pytest

from tests.chaos import faults
from tests.chaos.environment import DEADLINE_S, LONGEST_PROBE_S, MEMBER_S, SESSION_S, Site
from tests.chaos.faults import Fault
from tests.chaos.findings import Cost, Watched
from tests.chaos.report import Report
from tests.chaos.rounds import run_round
from tests.chaos.scenario import Scenario
from tests.harness.checking_receiver import Behaviour

PER_S = 120.0
BAD = [behaviour for behaviour in Behaviour if behaviour not in {Behaviour.ANSWER, Behaviour.GONE}]

SECOND_INGEST = Fault(
    name="a second ingest joins, and leaves or is killed",
    part="ingest-2",
    begin=lambda site, _chance: site.pipeline.start("ingest-2"),
    end=lambda site, chance: site.remove_process("ingest-2", kill=chance.random() < 0.5),
    lasts_s=(6.0, 12.0),
    cost=Cost(
        recovery_s=MEMBER_S + SESSION_S,
        why="membership + session timeout",
        later_resends=2,
        aftershock_s=MEMBER_S + SESSION_S,
    ),
)
SHORTENED = {faults.POSTGRES_STOPPED: (8.0, 20.0), faults.REDIS_FROZEN: (4.0, 20.0)}
SERVICE_FAULTS = (
    *(replace(fault, lasts_s=SHORTENED.get(fault, fault.lasts_s)) for fault in faults.SERVICE_FAULTS),
    SECOND_INGEST,
)


def receiver_fault(watched: Watched, behaviour: Behaviour) -> Fault:
    return Fault(
        name=f"the receiver of {watched.label} {behaviour.value}",
        part=watched.label,
        begin=lambda _site, _chance: watched.receivers[0].behave(behaviour),
        end=lambda _site, _chance: watched.receivers[0].behave(Behaviour.ANSWER),
        lasts_s=(4.0, 12.0),
        cost=Cost(recovery_s=LONGEST_PROBE_S + DEADLINE_S, why="the longest wait for a probe"),
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
            bad = [receiver_fault(one, scenario.chance.choice(BAD)) for one in watched]
            longest_s = max(longest_s, run_round(scenario, [*SERVICE_FAULTS, *bad]).longest_stall_s)
        for one in watched:
            one.stall_bound_s = longest_s + one.batching_wait_s
