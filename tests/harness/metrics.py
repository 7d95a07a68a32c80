"""Reads the metrics of a process as Prometheus does."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.harness.pipeline import Pipeline, until
from webhookd.metrics.declaration import EVERY
from webhookd.metrics.exposition import Exposition, Source

TIMEOUT_S = 30.0
"""For a busy machine."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one response to Prometheus."""

    samples: tuple[Sample, ...]

    def series(self, name: str, **labels: str) -> list[Sample]:
        """The samples with this name that have these labels, among others perhaps."""
        return [one for one in self.samples if one.name == name and labels.items() <= one.labels.items()]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the only such sample; None without any. Raises ValueError if there are several."""
        found = self.series(name, **labels)
        if len(found) > 1:
            raise ValueError(f"several series of {name} have {labels}: {found}")
        return found[0].value if found else None

    def total(self, name: str, **labels: str) -> float:
        """The sum of all such samples; 0 without any."""
        return sum(one.value for one in self.series(name, **labels))

    def label_values(self, name: str, label: str) -> set[str]:
        """The values of a label in the samples with this name."""
        return {one.labels[label] for one in self.series(name)}


def scrape(pipeline: Pipeline, process: str) -> Scrape:
    """Ask a process of the pipeline for its metrics; waits until it serves them."""
    until(lambda: bool(served_at(pipeline.log(process))), f"{process} serves metrics")
    return scrape_address(served_at(pipeline.log(process)))


def scrape_address(address: str) -> Scrape:
    """Ask for the metrics at this address, a host and a port."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as response:
        return parsed(response.read().decode())


class LiveMetrics:
    """The metrics of the test's own process, as if this were API, ingest and worker."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def read(self) -> Scrape:
        """The values of the moment."""
        return parsed(generate_latest(self._exposition.registry).decode())

    def add_source(self, source: Source) -> None:
        """Serve the samples of a source, too."""
        self._exposition.add_source(source)


@contextmanager
def exposed() -> Iterator[LiveMetrics]:
    """Count and serve everything in this process. No source may fail."""
    errors: list[Exception] = []
    exposition = Exposition(EVERY, errors.append)
    try:
        yield LiveMetrics(exposition)
    finally:
        exposition.close()
    assert not errors


def parsed(text: str) -> Scrape:
    """The samples of Prometheus' text format."""
    families = text_string_to_metric_families(text)
    return Scrape(tuple(sample for family in families for sample in family.samples))


def served_at(log: str) -> str:
    """The address in the last `metrics_served` of a log; empty without any."""
    addresses = addresses_served(log)
    return addresses[-1] if addresses else ""


def addresses_served(log: str) -> list[str]:
    """The addresses in all `metrics_served` of a log, in order."""
    return [str(json.loads(line)["address"]) for line in log.splitlines() if '"event":"metrics_served"' in line]


def wait_metric(pipeline: Pipeline, process: str, holds: Callable[[Scrape], bool], what: str) -> Scrape:
    """Scrape a process until this holds of its metrics; returns the last scrape."""
    seen: list[Scrape] = []

    def reached() -> bool:
        seen.append(scrape(pipeline, process))
        return holds(seen[-1])

    until(reached, what)
    return seen[-1]
