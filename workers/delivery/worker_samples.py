"""What Prometheus gets to see of the state of a worker process: its threads, tasks and connections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from webhookd.metrics.catalogue.worker import CONNECTIONS, TASKS, THREADS, THREADS_BUSY
from webhookd.metrics.samples import Sample
from workers.delivery.worker_load import WorkerLoad


class Connections(Protocol):
    """The exchange loop, as far as its connections are counted; any thread."""

    @property
    def connections(self) -> int:
        """The number of connections that are open or being opened, idle ones included."""

    @property
    def idle_connections(self) -> int:
        """The number of connections that are kept for the next delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSamples:
    """A source of samples; any thread."""

    queues: Sequence[str]
    threads: int
    load: WorkerLoad
    exchanges: Connections

    def __call__(self) -> Iterator[Sample]:
        """Return the values of this moment."""
        yield Sample(THREADS, (), self.threads)
        yield Sample(THREADS_BUSY, (), self.load.busy)
        for queue, number in {**dict.fromkeys(self.queues, 0), **self.load.taken_by_queue()}.items():
            yield Sample(TASKS, (queue,), number)
        idle = self.exchanges.idle_connections
        yield Sample(CONNECTIONS, ("idle",), idle)
        # The loop may have changed both meanwhile.
        yield Sample(CONNECTIONS, ("busy",), max(0, self.exchanges.connections - idle))
