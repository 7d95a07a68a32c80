"""The order in which the files of tests run: those that wait for processes and leases run beside those that compute."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/acceptance/shared_service/",)
"""Folders whose files run after each other in one process of pytest, since they share a service that costs much."""

WAITING = ("tests/acceptance/", "tests/chaos/")
QUICK = ("tests/unit/",)
"""These come last, so that no long file runs alone at the end."""


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each process of pytest a file at a time, or a folder of TOGETHER; used instead of `--dist loadfile`."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """What runs in one piece: the file of this test, or its folder in TOGETHER."""
    return next(filter(nodeid.startswith, TOGETHER), nodeid.partition("::")[0])


def in_running_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests, those of a unit together: units that wait at equal distances among the others, then quick ones."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit_of(item.nodeid), []).append(item)
    waiting = [name for name in units if name.startswith(WAITING)]
    quick = [name for name in units if name.startswith(QUICK)]
    others = [name for name in units if not name.startswith((*WAITING, *QUICK))]
    return [item for name in spread(waiting, others) + quick for item in units[name]]


def spread(waiting: Sequence[str], others: Sequence[str]) -> list[str]:
    """Both in their own order, the first ones at equal distances among the others; it begins with a waiting one."""
    distance = len(others) / max(len(waiting), 1)
    placed = [(index * distance, 0, name) for index, name in enumerate(waiting)]
    placed += [(float(index), 1, name) for index, name in enumerate(others)]
    return [name for _, _, name in sorted(placed, key=lambda place: place[:2])]
