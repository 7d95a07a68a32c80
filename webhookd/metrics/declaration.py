"""The kinds of metrics, as the catalogue declares them.

Recorded metrics (Counter, Gauge, Histogram) are changed where something happens. They do nothing until an Exposition
serves them, so a process whose metrics are switched off pays next to nothing. A call takes about 1 µs; what happens for
each request of a worker is counted by a tally instead (tally.py). Sampled metrics are read from the state of the
process when Prometheus asks.

Names and units follow Prometheus' rules (https://prometheus.io/docs/practices/naming/): a prefix, base units at the
end (`_seconds`, `_bytes`), and `_total` for counters.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal

import prometheus_client
from prometheus_client import CollectorRegistry

_NAME: Final = re.compile(r"webhookd(?:_[a-z0-9]+)+")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]*")

Kind = Literal["counter", "gauge", "histogram"]
MultiprocessMode = Literal["all", "liveall", "livesum", "livemax", "mostrecent"]


class Process(StrEnum):
    """The processes that serve metrics."""

    API = "api"
    INGEST = "ingest"
    WORKER = "worker"


EVERY: Final = frozenset(Process)


class Metric:
    """What all kinds have in common: the name as Prometheus stores it, the help text, labels, and who serves it."""

    kind: Kind

    def __init__(
        self, name: str, help_text: str, *, labels: Sequence[str] = (), processes: frozenset[Process] = EVERY
    ) -> None:
        """Raises ValueError for a name or a label that breaks the rules."""
        if not _NAME.fullmatch(name) or not all(map(_LABEL.fullmatch, labels)):
            raise ValueError(f"{name} {labels}: not a name of a metric with labels")
        if (self.kind == "counter") != name.endswith("_total"):
            raise ValueError(f"{name}: a counter, and nothing else, ends with _total")
        self.name = name
        self.help = help_text
        self.labels = tuple(labels)
        self.processes = processes

    @property
    def family(self) -> str:
        """The name of the metric family: that of a counter has no `_total`."""
        return self.name.removesuffix("_total")


class Recorded(Metric):
    """A metric that is changed where something happens; changes before `bind` are lost."""

    @property
    def file_kind(self) -> str:
        """With which word prometheus-client begins the name of its file when several processes record."""
        return self.kind

    def bind(self, registry: CollectorRegistry) -> None:
        """Serve the metric from now on."""
        raise NotImplementedError

    def unbind(self) -> None:
        """Stop: later changes do nothing."""
        raise NotImplementedError


class Counter(Recorded):
    """Counts events."""

    kind = "counter"
    _live: prometheus_client.Counter | None = None

    def bind(self, registry: CollectorRegistry) -> None:
        """Serve the metric from now on; without labels it begins at 0."""
        self._live = prometheus_client.Counter(self.family, self.help, self.labels, registry=registry)

    def unbind(self) -> None:
        """Stop: later changes do nothing."""
        self._live = None

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Add to the counter with these label values."""
        live = self._live  # another thread may call `unbind` meanwhile
        if live is not None:
            (live.labels(*labels) if labels else live).inc(by)


class Gauge(Recorded):
    """Has a value that goes up and down. `mode` says how the values of the API's worker processes become one."""

    kind = "gauge"
    _live: prometheus_client.Gauge | None = None

    def __init__(
        self,
        name: str,
        help_text: str,
        *,
        labels: Sequence[str] = (),
        processes: frozenset[Process] = EVERY,
        mode: MultiprocessMode = "livesum",
    ) -> None:
        super().__init__(name, help_text, labels=labels, processes=processes)
        self._mode = mode

    @property
    def file_kind(self) -> str:
        """With which word prometheus-client begins the name of its file: the mode is part of it."""
        return f"{self.kind}_{self._mode}"

    def bind(self, registry: CollectorRegistry) -> None:
        """Serve the metric from now on; without labels it begins at 0."""
        self._live = prometheus_client.Gauge(
            self.name, self.help, self.labels, registry=registry, multiprocess_mode=self._mode
        )

    def unbind(self) -> None:
        """Stop: later changes do nothing."""
        self._live = None

    def set(self, value: float, *labels: str) -> None:
        """Set the value of the series with these label values."""
        live = self._live  # another thread may call `unbind` meanwhile
        if live is not None:
            (live.labels(*labels) if labels else live).set(value)

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Add to the value; a negative number makes it less."""
        live = self._live  # another thread may call `unbind` meanwhile
        if live is not None:
            (live.labels(*labels) if labels else live).inc(by)


class Histogram(Recorded):
    """Has the distribution of observed values. `buckets` are their upper bounds, in order, without infinity."""

    kind = "histogram"
    _live: prometheus_client.Histogram | None = None

    def __init__(
        self,
        name: str,
        help_text: str,
        *,
        buckets: Sequence[float],
        labels: Sequence[str] = (),
        processes: frozenset[Process] = EVERY,
    ) -> None:
        super().__init__(name, help_text, labels=labels, processes=processes)
        self.buckets = tuple(buckets)

    def bind(self, registry: CollectorRegistry) -> None:
        """Serve the metric from now on."""
        self._live = prometheus_client.Histogram(
            self.name, self.help, self.labels, registry=registry, buckets=self.buckets
        )

    def unbind(self) -> None:
        """Stop: later changes do nothing."""
        self._live = None

    def observe(self, value: float, *labels: str) -> None:
        """Add a value to the series with these label values."""
        live = self._live  # another thread may call `unbind` meanwhile
        if live is not None:
            (live.labels(*labels) if labels else live).observe(value)


class Sampled(Metric):
    """A metric whose values a source reads from the state of the process when Prometheus asks."""

    def __init__(
        self,
        kind: Kind,
        name: str,
        help_text: str,
        *,
        labels: Sequence[str] = (),
        processes: frozenset[Process] = EVERY,
        buckets: Sequence[float] = (),
    ) -> None:
        self.kind = kind
        super().__init__(name, help_text, labels=labels, processes=processes)
        self.buckets = tuple(buckets)
