"""Every metric of webhookd, each with its name, help text, labels and the processes that serve it.

`make reference` writes docs/reference/metrics.md from it. tests/closure checks that nothing else declares a metric, and
that each name in deploy/ exists.
"""

from collections.abc import Mapping
from typing import Final

from webhookd.metrics.catalogue.api import API
from webhookd.metrics.catalogue.ingest import INGEST
from webhookd.metrics.catalogue.records import RECORDS
from webhookd.metrics.catalogue.services import SERVICES
from webhookd.metrics.catalogue.worker import WORKER
from webhookd.metrics.declaration import Metric

PARTS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "Records and lag, by subscription": RECORDS,
    "Ingest process": INGEST,
    "Worker": WORKER,
    "API": API,
    "API, ingest and workers": SERVICES,
}
"""By a title of the part that they are about."""

METRICS: Final[tuple[Metric, ...]] = tuple(metric for part in PARTS.values() for metric in part)
