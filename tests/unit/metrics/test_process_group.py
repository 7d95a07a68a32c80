"""Memory, CPU time and open files of several processes together.

Oracle: proc(5), as files that the test writes.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from webhookd.metrics.process_group import ProcessGroup

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Proc:
    """A /proc with a parent, 1, and its children."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.children: Sequence[int] = ()
        (root / "stat").write_text("cpu 0\nbtime 1000\n")

    def write(
        self, pid: int, *, cpu_s: int, ended_s: int = 0, pages: int = 0, started_s: int = 0, files: int = 0
    ) -> None:
        """A process with these values."""
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        for number in range(files):
            (folder / "fd" / str(number)).touch()
        fields = ["S", *["0"] * 10, str(cpu_s * TICKS), "0", str(ended_s * TICKS), "0", *["0"] * 4]
        (folder / "stat").write_text(f"{pid} (a) b) {' '.join([*fields, str(started_s * TICKS), '7', str(pages)])} 0\n")
        (folder / "limits").write_text("Max open files            1024                 4096                 files\n")

    def remove(self, pid: int) -> None:
        """The process has ended."""
        (self.root / str(pid) / "stat").unlink()

    def group(self) -> ProcessGroup:
        """What is tested."""
        return ProcessGroup(1, lambda: self.children, self.root)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def values(group: ProcessGroup) -> dict[str, float]:
    return {sample.name: sample.value for family in group.collect() for sample in family.samples}


def test_sums_and_the_start_of_the_parent(proc: Proc) -> None:
    proc.write(1, cpu_s=1, pages=10, started_s=5, files=3)
    proc.write(2, cpu_s=2, pages=20, started_s=6, files=4)
    proc.write(3, cpu_s=4, pages=30, started_s=7, files=5)
    proc.children = (2, 3)
    assert values(proc.group()) == {
        "process_virtual_memory_bytes": 21,
        "process_resident_memory_bytes": 60 * PAGE,
        "process_start_time_seconds": 1005,
        "process_cpu_seconds_total": 7,
        "process_open_fds": 12,
        "process_max_fds": 3 * 1024,
    }


def test_cpu_time_does_not_go_down_when_a_child_ends(proc: Proc) -> None:
    proc.write(1, cpu_s=1)
    proc.write(2, cpu_s=50)
    proc.children = (2,)
    group = proc.group()
    assert values(group)["process_cpu_seconds_total"] == 51
    proc.remove(2)
    assert values(group)["process_cpu_seconds_total"] == 51  # not waited for yet
    proc.write(1, cpu_s=2, ended_s=50)
    assert values(group)["process_cpu_seconds_total"] == 52
    assert values(proc.group())["process_cpu_seconds_total"] == 52


def test_without_proc_there_is_nothing(tmp_path: Path) -> None:
    assert values(ProcessGroup(1, tuple, tmp_path)) == {}
