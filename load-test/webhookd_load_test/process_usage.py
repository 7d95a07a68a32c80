"""CPU time and resident memory of processes and their children, from /proc."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
POLL_INTERVAL_S = 0.02

Roots = Mapping[str, Sequence[int]]
"""Process ids by the name under which they and their children are counted."""


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    cpu_s: float
    resident_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU seconds since the start of the processes and resident bytes now, by name."""

    at: float
    cpu_s: Mapping[str, float]
    resident_bytes: Mapping[str, int]
    pids: Mapping[str, Sequence[int]]
    """All processes of each name, children included."""


def usage(roots: Roots) -> Usage:
    """The usage of the processes up to now."""
    table = dict(_processes())
    trees = {name: _process_tree(pids, table) for name, pids in roots.items()}
    return Usage(
        at=time.monotonic(),
        cpu_s={name: sum(p.cpu_s for p in tree) for name, tree in trees.items()},
        resident_bytes={name: sum(p.resident_bytes for p in tree) for name, tree in trees.items()},
        pids={name: [p.pid for p in tree] for name, tree in trees.items()},
    )


def wait_until(reached: Callable[[], bool], timeout_s: float, interval_s: float = POLL_INTERVAL_S) -> bool:
    """Poll until `reached()`; returns whether it became true in time."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True


def _processes() -> Iterator[tuple[int, _Process]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        pid = int(path.parent.name)
        yield pid, _Process(pid, int(fields[1]), cpu_s, int(fields[21]) * PAGE_BYTES)


def _process_tree(pids: Iterable[int], table: Mapping[int, _Process]) -> list[_Process]:
    wanted = set(pids)
    grown = True
    while grown:
        born = {pid for pid, process in table.items() if process.parent in wanted} - wanted
        wanted |= born
        grown = bool(born)
    return [table[pid] for pid in wanted if pid in table]
