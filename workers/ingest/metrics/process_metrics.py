"""The metrics of an ingest process. Where they are switched off, nothing is counted, and the database is not read."""

from typing import Protocol

from webhookd import clock
from webhookd.metrics.exposition import Source
from webhookd.settings import Settings
from webhookd.store.database import Database
from workers.ingest.loop_limits import Clocks
from workers.ingest.metrics.loop_metrics import LoopMetrics
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver
from workers.ingest.metrics.store_metrics import StoreMetrics
from workers.ingest.metrics.zeros import begin_at_zero


class Metrics(Protocol):
    """The part of the metrics server that an ingest process uses."""

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""


class ProcessMetrics:
    """`observer` is for the ingest loop, `refresh` for a thread that calls it every few seconds."""

    def __init__(self, settings: Settings, database: Database) -> None:
        clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
        bound, limit_bytes = settings.metrics_subscriptions, settings.process_buffer_bytes
        self._loop = LoopMetrics(clocks, bound=bound, limit_bytes=limit_bytes) if settings.metrics_bind else None
        self._store = StoreMetrics(database, clock.wall_clock) if settings.metrics_bind else None
        self.observer: LoopObserver = self._loop or NOT_OBSERVED

    def serve(self, metrics: Metrics, *sources: Source) -> None:
        """Serve what the loop has left, and the samples of these sources."""
        if self._loop is not None:
            begin_at_zero()
            for source in (self._loop.samples, *sources):
                metrics.add_source(source)

    def refresh(self) -> None:
        """Read what is read from the database. Blocks."""
        if self._store is not None:
            self._store.refresh()
