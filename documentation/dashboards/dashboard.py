"""A dashboard as a whole: its rows of panels, its variables, and the links to the others."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from documentation.dashboards.panels import DATASOURCE, Panel

SCHEMA_VERSION: Final = 42
"""Of Grafana 12.2 to 12.4; a newer Grafana converts it when it opens the dashboard."""

TAG: Final = "webhookd"
WIDTH: Final = 24

_DATASOURCE_VARIABLE: Final = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
}

_SUBSCRIPTION_VARIABLE: Final = {
    "name": "subscription",
    "label": "Subscription",
    "description": "The id of a subscription; `other` stands for all those without series of their own.",
    "type": "query",
    "datasource": DATASOURCE,
    "definition": "label_values(webhookd_lag_seconds, subscription)",
    "query": {
        "query": "label_values(webhookd_lag_seconds, subscription)",
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    },
    "refresh": 2,
    "sort": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
}

_LINKS: Final = [
    {
        "type": "dashboards",
        "title": "webhookd",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """`rows` are panels by the title of their row; `by_subscription` adds the choice of one."""

    uid: str
    title: str
    description: str
    rows: Mapping[str, Sequence[Panel]]
    by_subscription: bool = False

    def text(self) -> str:
        """The text of the file that Grafana reads."""
        variables = [_DATASOURCE_VARIABLE, *([_SUBSCRIPTION_VARIABLE] if self.by_subscription else [])]
        content = {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "time": {"from": "now-3h", "to": "now"},
            "refresh": "30s",
            "timezone": "",
            "links": _LINKS,
            "annotations": {"list": []},
            "templating": {"list": variables},
            "panels": list(self._panels()),
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def _panels(self) -> Iterator[dict[str, Any]]:
        number, y = 1, 0
        for title, panels in self.rows.items():
            yield _row(number, y, title)
            number, x, y, height = number + 1, 0, y + 1, 0
            for panel in panels:
                if x + panel.size[0] > WIDTH:
                    x, y, height = 0, y + height, 0
                yield panel.json(number, x, y)
                number, x, height = number + 1, x + panel.size[0], max(height, panel.size[1])
            y += height


def _row(number: int, y: int, title: str) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
