"""Redis on a full disk: it answers every write with an error until there is space again."""

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from stack import redis
from stack.free_ports import free_ports
from tests.chaos.environment import DEADLINE_S, LEASE_S, Site
from tests.chaos.faults import RECONNECT_S
from tests.chaos.findings import Cost
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario

DISK_MB = 32
LASTS_S = (6.0, 8.0)
COST = Cost(
    recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
    why="as long as it is full + Celery's reconnect + lease + request deadline",
    later_resends=1,
    lost_writes_s=2.0,
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system in memory; mounting it needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no small disk: mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


@pytest.fixture
def small(site: Site, disk: Path, tmp_path: Path) -> Iterator[Site]:
    """The service with its Redis on that disk."""
    with ExitStack() as exits:
        server = redis.start(disk, free_ports(1)[0])
        exits.callback(server.stop)
        server.wait_ready()
        made = Site(tmp_path, site.new_database, bootstrap=site.bootstrap, redis=server)
        exits.callback(made.close)
        yield made


@pytest.mark.chaos
def test_full_disk_under_redis_loses_nothing(small: Site, disk: Path, report: Report) -> None:
    small.ensure_running()
    filler = disk / "filler"
    with Scenario("Redis' disk full", small, report) as scenario:
        scenario.subscribe_three()
        scenario.load()
        with scenario.fault_window(COST):
            fill(filler)
            small.run_for(scenario.chance.uniform(*LASTS_S))
            filler.unlink()


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 10, 1):
            with contextlib.suppress(OSError):
                _repeat(file, b"x" * block)


def _repeat(file: io.FileIO, block: bytes) -> NoReturn:
    """Write a block again and again. Raises OSError when the disk is full."""
    while True:
        file.write(block)
