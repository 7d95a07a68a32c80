"""The metrics of the test's own process, as Prometheus would read them."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.metrics import Scrape
from webhookd.metrics.exposition import Exposition, Source


@dataclass(frozen=True, slots=True)
class LiveMetrics:
    """Everything is counted, as if this were API, ingest and worker. `read` returns the values of the moment."""

    read: Callable[[], Scrape]
    exposition: Exposition

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""
        self.exposition.add_source(source)
