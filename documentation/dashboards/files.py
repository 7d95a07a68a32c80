"""Which file of deploy/grafana is which dashboard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from documentation.dashboards.dashboard import Dashboard
from documentation.dashboards.overview import OVERVIEW
from documentation.dashboards.subscription import SUBSCRIPTION
from documentation.dashboards.system import SYSTEM
from documentation.dashboards.workers import WORKERS

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "grafana"

DASHBOARDS: Final[Mapping[str, Dashboard]] = {
    "overview.json": OVERVIEW,
    "subscription.json": SUBSCRIPTION,
    "system.json": SYSTEM,
    "workers.json": WORKERS,
}
