"""Faults that affect all subscriptions: a process or service is killed, freezes, loses its data or is full."""

import pytest

from tests.chaos import faults
from tests.chaos.environment import Site
from tests.chaos.faults import Fault
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario

QUICK = (faults.WORKER_KILLED, faults.REDIS_FLUSHED)
SLOW = tuple(fault for fault in faults.SERVICE_FAULTS if fault not in QUICK)


def inject_once(fault: Fault, site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario(fault.name, site, report) as scenario:
        scenario.subscribe_three()
        scenario.load()
        scenario.inject(fault)


@pytest.mark.chaos_quick
@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_nothing_is_lost_or_stuck_quickly(fault: Fault, site: Site, report: Report) -> None:
    inject_once(fault, site, report)


@pytest.mark.chaos
@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.name)
def test_nothing_is_lost_or_stuck(fault: Fault, site: Site, report: Report) -> None:
    inject_once(fault, site, report)
