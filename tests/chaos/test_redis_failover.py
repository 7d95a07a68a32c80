"""A failover of Redis: another server becomes the primary, and the old one keeps its open connections as a replica."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.environment import DEADLINE_S, LEASE_S, Site
from tests.chaos.faults import RECONNECT_S
from tests.chaos.findings import Cost
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.harness.redis_pair import RedisPair

COST = Cost(
    recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
    why="Celery's reconnect + lease + request deadline, as after a restart",
    later_resends=1,
    lost_writes_s=2.0,  # replication is asynchronous: the new primary may not have the last writes of the old one
)


@pytest.fixture
def paired(site: Site, tmp_path: Path) -> Iterator[tuple[Site, RedisPair]]:
    """The service with two Redis servers behind one address."""
    with ExitStack() as exits:
        pair = exits.enter_context(RedisPair(tmp_path))
        made = Site(
            tmp_path, site.new_database, bootstrap=site.bootstrap, redis=pair.servers[0], redis_url=pair.address
        )
        exits.callback(made.close)
        yield made, pair


@pytest.mark.chaos
def test_failover_of_redis_loses_nothing(paired: tuple[Site, RedisPair], report: Report) -> None:
    site, pair = paired
    site.ensure_running()
    with Scenario("Redis failover", site, report) as scenario:
        scenario.subscribe_three()
        scenario.load()
        for _ in range(2):  # there, and back
            with scenario.fault_window(COST):
                pair.fail_over()
