"""The memory, CPU time and open files of several processes together, under the names of a single process."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from os import sysconf
from pathlib import Path
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

CPU: Final = "process_cpu_seconds"
START: Final = "process_start_time_seconds"

_CUTIME, _CSTIME = 13, 14
"""Fields of /proc/PID/stat behind the name: user and system time of the children that have ended (proc(5))."""


class ProcessGroup(Collector):
    """A parent process and its running children: sums, and the start time of the parent.

    Memory that they share counts once for each. The CPU time includes that of children that have ended, so that it
    never goes down.
    """

    def __init__(self, parent: int, children: Callable[[], Iterable[int]], proc: Path = Path("/proc")) -> None:
        self._parent = parent
        self._children = children
        self._proc = proc
        self._cpu_s = 0.0

    def collect(self) -> Iterator[Family]:
        """Return the families of this moment; none on a system without /proc."""
        # A child that ends meanwhile is missing once in the sum, and not twice in it.
        ended_s = self._ended_children_s()
        by_name: dict[str, list[Family]] = {}
        for pid in (self._parent, *self._children()):
            for family in ProcessCollector(pid=partial(int, pid), proc=str(self._proc), registry=None).collect():
                by_name.setdefault(family.name, []).append(family)
        for name, families in by_name.items():
            yield self._combined(name, families, ended_s)

    def _combined(self, name: str, families: list[Family], ended_s: float) -> Family:
        found = [family.samples[0] for family in families]
        value = found[0].value if name == START else sum(sample.value for sample in found)
        if name == CPU:
            value = self._cpu_s = max(self._cpu_s, value + ended_s)
        families[0].samples = [Sample(found[0].name, found[0].labels, value)]
        return families[0]

    def _ended_children_s(self) -> float:
        try:
            fields = (self._proc / str(self._parent) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[_CUTIME]) + int(fields[_CSTIME])) / sysconf("SC_CLK_TCK")
