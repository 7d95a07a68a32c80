"""What Prometheus reads at one moment: the values of sampled metrics."""

from typing import NamedTuple

from webhookd.metrics.declaration import Sampled


class HistogramValue(NamedTuple):
    """The values of a histogram: how many fell into each bucket (the last one is above all bounds), and their sum."""

    counts: tuple[int, ...]
    total: float


class Sample(NamedTuple):
    """The value of one series of a sampled metric; `labels` are the values of its labels, in their order."""

    metric: Sampled
    labels: tuple[str, ...]
    value: float | HistogramValue
