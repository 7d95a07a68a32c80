"""Rounds of two or three faults at once, drawn at random, each with a recovery after it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.faults import Fault
from tests.chaos.findings import Cost, FaultWindow
from tests.chaos.scenario import Scenario

MOST_AT_ONCE = 3
WITHIN_S = 8.0
"""All faults of a round begin within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault of a round, with times in seconds from the start of the round."""

    fault: Fault
    begins_s: float
    ends_s: float


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


def run_planned(scenario: Scenario, planned: Sequence[Planned], whole: Cost) -> FaultWindow:
    """Carry out these faults, and wait until the service has recovered from all; `whole` is what they cost together."""
    with scenario.fault_window(whole) as window:
        windows = carry_out(scenario, planned)
    for part in windows:
        part.until_at = window.until_at
    scenario.windows += windows
    scenario.note(f"all flows again, {window.until_at - window.ended_at:.1f} s after the last fault's end")
    return window


def run_round(scenario: Scenario, possible: Sequence[Fault]) -> FaultWindow:
    """Carry out two or three of these faults, and wait until the service has recovered from all of them."""
    planned = plan(scenario.chance, possible)
    return run_planned(scenario, planned, cost(planned))
