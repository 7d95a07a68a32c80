"""Metrics that several processes record together: each writes its values into files, and one of them serves the sums.

This is prometheus-client's multiprocess mode, with numbers in place of process ids: a process that starts gets a number
that no other process has, and continues the files of the one that had it before. So counters do not go down when a
process ends, and there are never more files than processes at the same time.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from webhookd.metrics.process_group import ProcessGroup


def record_in(directory: Path, number: int) -> None:
    """Write what this process records into files; call it before its Exposition is created, and after a fork.

    Raises OSError.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: number)
    _id_file(directory, number).write_text(str(os.getpid()), encoding="ascii")


def end(directory: Path, number: int) -> None:
    """After the end of a process: its gauges count no more. Its counters and histograms stay."""
    mark_process_dead(number, str(directory))
    _id_file(directory, number).unlink(missing_ok=True)


def shared_registry(directory: Path, parent: int) -> CollectorRegistry:
    """Return what one of the processes serves; `parent` is the id of the process that has started them.

    The garbage collections are those of the process that serves.
    """
    registry = CollectorRegistry(auto_describe=False)
    MultiProcessCollector(registry, str(directory))
    registry.register(ProcessGroup(parent, lambda: _running(directory)))
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _id_file(directory: Path, number: int) -> Path:
    return directory / f"{number}.pid"


def _running(directory: Path) -> Iterator[int]:
    for file in directory.glob("*.pid"):
        try:
            yield int(file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):  # it has just ended, or just begins
            continue
