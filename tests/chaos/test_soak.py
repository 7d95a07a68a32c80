"""Random combinations of all faults: rounds of two or three at once, with a recovery after each, for a given time."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tests.chaos import faults
from tests.chaos.environment import DEADLINE_S, LONGEST_PROBE_S, MEMBER_S, SESSION_S, Site
from tests.chaos.faults import Fault
from tests.chaos.findings import Cost, FaultWindow, Watched
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.harness.checking_receiver import Behaviour

MOST_AT_ONCE = 3
WITHIN_S = 8.0
"""All faults of a round begin within this time."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault of a round, with times in seconds from the start of the round."""

    fault: Fault
    begins_s: float
    ends_s: float


def receiver_fault(watched: Watched, behaviour: Behaviour) -> Fault:
    return Fault(
        name=f"the receiver of {watched.label} {behaviour.value}",
        part=watched.label,
        begin=lambda _site, _chance: watched.receivers[0].behave(behaviour),
        end=lambda _site, _chance: watched.receivers[0].behave(Behaviour.ANSWER),
        lasts_s=(4.0, 12.0),
        cost=Cost(recovery_s=LONGEST_PROBE_S + DEADLINE_S, why="the longest wait for a probe"),
    )


def plan(chance: random.Random, possible: Sequence[Fault]) -> list[Planned]:
    """Choose two or three faults; fewer when some affect the same part."""
    chosen: dict[str, Fault] = {}
    for fault in chance.sample(possible, chance.randint(2, MOST_AT_ONCE)):
        chosen.setdefault(fault.part, fault)
    planned = []
    for fault in chosen.values():
        begins_s = chance.uniform(0.0, WITHIN_S)
        planned.append(Planned(fault=fault, begins_s=begins_s, ends_s=begins_s + chance.uniform(*fault.lasts_s)))
    return planned


def cost(planned: Sequence[Planned]) -> Cost:
    """The cost of a whole round: simultaneous faults may wait for one another, so their recoveries add up."""
    return Cost(
        recovery_s=sum(one.fault.cost.recovery_s for one in planned),
        why="as long as the round + the recoveries of its faults",
        resends_at_start=False,  # counted for each of its faults, at its own time
        lost_writes_s=max(one.fault.cost.lost_writes_s for one in planned),
    )


def carry_out(scenario: Scenario, planned: Sequence[Planned]) -> list[FaultWindow]:
    """Begin and end each fault at its time; returns their windows."""
    began_at = time.monotonic()
    owners = {watched.label: watched for watched in scenario.watched}
    windows = [FaultWindow(cost=one.fault.cost, began_at=0.0, of=owners.get(one.fault.part)) for one in planned]
    pairs = list(zip(planned, windows, strict=True))
    actions = [(one.begins_s, one.fault, window) for one, window in pairs] + [
        (one.ends_s, one.fault, window) for one, window in pairs
    ]
    for at_s, fault, window in sorted(actions, key=lambda action: action[0]):
        scenario.site.run_for(max(0.0, began_at + at_s - time.monotonic()))
        if not window.began_at:
            scenario.note(f"begins: {fault.name}")
            window.began_at = time.monotonic()
            fault.begin(scenario.site, scenario.chance)
        else:
            scenario.note(f"ends: {fault.name}")
            fault.end(scenario.site, scenario.chance)
            window.ended_at = time.monotonic()
    return windows


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
            planned = plan(scenario.chance, [*SERVICE_FAULTS, *bad])
            with scenario.fault_window(cost(planned)) as window:
                windows = carry_out(scenario, planned)
            for part in windows:
                part.until_at = window.until_at
            scenario.windows += windows
            longest_s = max(longest_s, window.longest_stall_s)
            scenario.note(f"all flows again, {window.until_at - window.ended_at:.1f} s after the last fault's end")
        for one in watched:
            one.stall_bound_s = longest_s + one.batching_wait_s
