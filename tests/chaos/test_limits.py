"""The limits of subscriptions, counted at the receivers, with two ingest and two worker processes that are killed.

Every seventeenth request fails, so that retries count too.
"""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.chaos.environment import DEADLINE_S, LEASE_S, MEMBER_S, SESSION_S, Site
from tests.chaos.findings import Cost
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.harness.lateness import Lateness

PER_S = 24.0
"""More than the rate, which the records that wait keep busy, and less than what the open requests let through."""

LIMIT_PER_S, WINDOW_S, TOLERANCE, NEARLY = 20.0, 10.0, 0.05, 0.8
MOST_OPEN, TAKES_S = 2, 0.02
FAILS_EVERY = 17
WORKER_GONE = Cost(recovery_s=LEASE_S + DEADLINE_S, why="lease + request deadline; then its permits expire as well")
INGEST_GONE = Cost(recovery_s=MEMBER_S + SESSION_S, why="membership + the group's session timeout", later_resends=1)


class CountingJudge:
    """Notes when requests arrive and how many are open, and fails some of them."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.arrivals: list[float] = []
        self.most_open = 0
        self._takes_s = takes_s
        self._open = 0
        self._lock = threading.Lock()

    def status(self, _length: int, _numbers: Sequence[int]) -> int:
        """The status of a request, after `takes_s`."""
        with self._lock:
            self.arrivals.append(time.monotonic())
            number = len(self.arrivals)
            self._open += 1
            self.most_open = max(self.most_open, self._open)
        time.sleep(self._takes_s)
        with self._lock:
            self._open -= 1
        return 200 if number % FAILS_EVERY else 500

    def in_windows(self) -> Iterator[int]:
        """How many requests arrived in each window that begins with a request and has passed."""
        for first in self.arrivals:
            if first + WINDOW_S < self.arrivals[-1]:
                yield sum(first <= at < first + WINDOW_S for at in self.arrivals)


@pytest.fixture
def doubled(site: Site) -> Iterator[Site]:
    """The service with two processes of each kind."""
    site.ensure_running()
    for name in ("ingest-2", "worker-2"):
        site.add_process(name)
    yield site
    for name in ("ingest-2", "worker-2"):
        site.remove_process(name)


@pytest.mark.chaos
def test_limits_hold_whatever_is_killed(doubled: Site, report: Report) -> None:
    rate, concurrency = CountingJudge(), CountingJudge(TAKES_S)
    with Lateness() as late, Scenario("limits", doubled, report) as scenario:
        scenario.rows_by_label = True
        scenario.subscribe(
            f"{LIMIT_PER_S:g} requests a second",
            judge=rate.status,
            delivery={"rate_limit": {"per_second": LIMIT_PER_S}},
        )
        scenario.subscribe(
            f"{MOST_OPEN} open requests", judge=concurrency.status, delivery={"max_concurrent_requests": MOST_OPEN}
        )
        scenario.load(PER_S)
        for name, cost in (("worker-2", WORKER_GONE), ("ingest-2", INGEST_GONE), ("worker-2", WORKER_GONE)):
            doubled.run_for(scenario.chance.uniform(3.0, 6.0))
            with scenario.fault_window(cost):
                doubled.remove_process(name, kill=True)
                doubled.run_for(scenario.chance.uniform(0.0, 2.0))
            doubled.add_process(name)
    most = max(rate.in_windows())
    assert LIMIT_PER_S * WINDOW_S * NEARLY <= most <= LIMIT_PER_S * (WINDOW_S * (1 + TOLERANCE) + late.most_s)
    assert concurrency.most_open == MOST_OPEN
