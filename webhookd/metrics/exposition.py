"""What a process serves: the recorded metrics of its kind, and the samples of its sources."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import Process, Recorded, Sampled
from webhookd.metrics.samples import HistogramValue, Sample

Source = Callable[[], Iterable[Sample]]
"""Returns the current samples. Called by the thread that answers Prometheus; it must not block for long."""


class SampleSources(Protocol):
    """Where a part of a process adds what it lets Prometheus see: an Exposition, as its user has it."""

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""


class Exposition:
    """The metrics of one process, from its creation to `close`. There is one at a time in a process.

    `failed` is called with the error of a source; the other sources are served without it. Raises OSError when the
    process records into files that cannot be opened; nothing is recorded then.
    """

    def __init__(self, processes: frozenset[Process], failed: Callable[[Exception], None]) -> None:
        disable_created_metrics()  # a second series for each counter, which hardly anybody reads
        self.registry = CollectorRegistry(auto_describe=False)
        self._recorded = [one for one in METRICS if isinstance(one, Recorded) and one.processes & processes]
        self._sampled = [one for one in METRICS if isinstance(one, Sampled) and one.processes & processes]
        self._failed = failed
        self._sources: list[Source] = []
        self._bind()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Samples(self))

    def _bind(self) -> None:
        try:
            for metric in self._recorded:
                metric.bind(self.registry)
        except OSError:
            self.close()
            raise

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""
        self._sources.append(source)

    def close(self) -> None:
        """Serve nothing any more; the recorded metrics do nothing again."""
        self._sources.clear()
        for metric in self._recorded:
            metric.unbind()

    def families(self) -> Iterator[Family]:
        """Return the samples of the sources, by metric."""
        by_metric: defaultdict[Sampled, list[Sample]] = defaultdict(list)
        for source in self._sources:
            for sample in self._read(source):
                by_metric[sample.metric].append(sample)
        for metric in self._sampled:
            yield _family(metric, by_metric[metric])

    def _read(self, source: Source) -> list[Sample]:
        try:
            return list(source())
        except Exception as error:  # noqa: BLE001 - one source must not hide what the others say
            self._failed(error)
            return []


class _Samples(Collector):
    """Passes the samples on to prometheus-client."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Family]:
        """Return the families of this moment."""
        return self._exposition.families()


def _family(metric: Sampled, samples: Iterable[Sample]) -> Family:
    if metric.kind == "histogram":
        return _histogram(metric, samples)
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.family, metric.help, labels=metric.labels)
    for sample in samples:
        if not isinstance(sample.value, HistogramValue):
            family.add_metric(sample.labels, sample.value)
    return family


def _histogram(metric: Sampled, samples: Iterable[Sample]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        if isinstance(sample.value, HistogramValue):
            family.add_metric(sample.labels, _cumulative(metric, sample.value), sample.value.total)
    return family


def _cumulative(metric: Sampled, value: HistogramValue) -> list[tuple[str, float]]:
    """Prometheus' buckets: each one counts what is at most its bound."""
    buckets, below = [], 0
    for bound, count in zip((*metric.buckets, inf), value.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == inf else str(bound), float(below)))
    return buckets
