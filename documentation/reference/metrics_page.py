"""docs/reference/metrics.md: every metric of webhookd/metrics/catalogue, by the part that it is about."""

from collections.abc import Iterator, Sequence

from documentation.reference.markdown import code, page, table
from webhookd.metrics.catalogue.contents import PARTS
from webhookd.metrics.declaration import EVERY, Metric

INTRODUCTION = """\
API, ingest and workers serve metrics at `GET /metrics`, as Prometheus text or as OpenMetrics, each on the address in
`WEBHOOKD_METRICS_BIND` (see [Settings](settings.md#metrics)). [Monitor webhookd](../how-to/monitor.md) says what to
watch.

A histogram has three series, whose names end with `_bucket`, `_sum` and `_count`. A counter begins at 0 when its
process starts: use `rate()` or `increase()`. Most series with labels are there from their first event on;
some counters begin at 0.

Besides these, each of them has the metrics of Prometheus' own client: its memory, CPU time, open files, start time and
garbage collections. The API has several worker processes, and one of them serves the metrics of all: memory (what they
share counts for each), CPU time and open files are those of all of its processes together, and the start time is that
of the first one. The garbage collections are those of the one that serves."""


def metrics_page() -> str:
    """The whole page."""
    return page("Metrics", INTRODUCTION, *(block for title, part in PARTS.items() for block in _group(title, part)))


def _group(title: str, metrics: Sequence[Metric]) -> Iterator[str]:
    yield f"## {title}"
    yield table(["Metric", "Kind and labels", "What it says"], [_row(metric) for metric in metrics])


def _row(metric: Metric) -> list[str]:
    labels = ", ".join(code(label) for label in metric.labels)
    served = "" if metric.processes == EVERY else f"<br>{', '.join(sorted(metric.processes))}"
    return [code(metric.name), f"{metric.kind}{f'<br>{labels}' if labels else ''}{served}", metric.help]
