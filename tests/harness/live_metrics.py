"""The metrics of the test's own process, as Prometheus would read them."""

from types import TracebackType
from typing import Self

from prometheus_client import generate_latest

from tests.harness.metrics import Scrape, parsed
from webhookd.metrics.declaration import EVERY
from webhookd.metrics.exposition import Exposition, Source


class LiveMetrics:
    """A context in which everything is counted, as if this process were API, ingest and worker. One at a time."""

    def __enter__(self) -> Self:
        self.errors: list[Exception] = []
        self._exposition = Exposition(EVERY, self.errors.append)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exposition.close()
        assert kind is not None or not self.errors, f"a source has failed: {self.errors}"

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""
        self._exposition.add_source(source)

    def read(self) -> Scrape:
        """The values of this moment."""
        return parsed(generate_latest(self._exposition.registry).decode())
