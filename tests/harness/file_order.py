"""The order of the files of tests: those that wait for processes and leases run beside those that compute."""

from collections.abc import Sequence

import pytest

WAITING = ("tests/acceptance/", "tests/chaos/")
QUICK = ("tests/unit/",)
"""These come last, so that no long file runs alone at the end."""


def in_running_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests, those of a file together: files that wait at equal distances among the others, then quick files."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    waiting = [name for name in files if name.startswith(WAITING)]
    quick = [name for name in files if name.startswith(QUICK)]
    others = [name for name in files if not name.startswith((*WAITING, *QUICK))]
    return [item for name in spread(waiting, others) + quick for item in files[name]]


def spread(waiting: Sequence[str], others: Sequence[str]) -> list[str]:
    """Both in their own order, the first ones at equal distances among the others; it begins with a waiting one."""
    distance = len(others) / max(len(waiting), 1)
    placed = [(index * distance, 0, name) for index, name in enumerate(waiting)]
    placed += [(float(index), 1, name) for index, name in enumerate(others)]
    return [name for _, _, name in sorted(placed, key=lambda place: place[:2])]
