"""The metrics of an ingest process. Where they are switched off, nothing is counted, and the database is not read."""

from webhookd import clock
from webhookd.metrics.exposition import SampleSources, Source
from webhookd.settings import Settings
from webhookd.store.database import Database
from workers.ingest.loop_limits import Clocks
from workers.ingest.metrics.counters_at_zero import begin_at_zero
from workers.ingest.metrics.loop_metrics import LoopMetrics
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver
from workers.ingest.metrics.store_metrics import StoreMetrics


class ProcessMetrics:
    """`observer` is for the ingest loop, `refresh` for a thread that calls it every few seconds.

    `served` is where the samples are added; None if nothing is to be counted.
    """

    def __init__(self, settings: Settings, database: Database, served: SampleSources | None) -> None:
        clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
        bound, limit_bytes = settings.metrics_subscriptions, settings.process_buffer_bytes
        self._served = served
        self._loop = None if served is None else LoopMetrics(clocks, bound=bound, limit_bytes=limit_bytes)
        self._store = None if served is None else StoreMetrics(database, clock.wall_clock)
        self.observer: LoopObserver = self._loop or NOT_OBSERVED

    def serve(self, *sources: Source) -> None:
        """Serve what the loop has left, and the samples of these sources."""
        if self._served is not None and self._loop is not None:
            begin_at_zero()
            for source in (self._loop.samples, *sources):
                self._served.add_source(source)

    def refresh(self) -> None:
        """Read what is read from the database. Blocks."""
        if self._store is not None:
            self._store.refresh()
