"""Metrics that several processes record together: each writes its values into files, and one of them serves the sums.

This is prometheus-client's multiprocess mode, with numbers in place of process ids: a process that starts gets a number
that no other process has, and continues the files of the one that had it before. So counters do not go down when a
process ends, and there are never more files than processes at the same time.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import Recorded
from webhookd.metrics.process_group import ProcessGroup

RESERVED_BYTES: Final = {"histogram": 1 << 20, "counter": 1 << 18, "gauge": 1 << 16}
"""The room of a file by what it has. All series of the API take about half of it; the library adds more if need be."""

_RECORDED: Final = [one for one in METRICS if isinstance(one, Recorded)]


def record_in(directory: Path, number: int) -> None:
    """Write what this process records into files; call it before its Exposition is created, and after a fork.

    Raises OSError, among others when the file system has no room for the files.
    """
    for metric in _RECORDED:
        _reserve(directory / f"{metric.file_kind}_{number}.db", RESERVED_BYTES[metric.kind])
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


def _reserve(file: Path, size: int) -> None:
    """Give a file its room. The library maps files with holes, and a full file system then kills who writes into one.

    What is in the file already stays.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _id_file(directory: Path, number: int) -> Path:
    return directory / f"{number}.pid"


def _running(directory: Path) -> Iterator[int]:
    for file in directory.glob("*.pid"):
        try:
            yield int(file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):  # it has just ended, or just begins
            continue
