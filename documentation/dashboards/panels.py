"""The panels of a dashboard, and their JSON as Grafana's dashboard schema 42 defines it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import ascii_uppercase
from typing import Any, Final

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
"""Whatever the variable `datasource` of the dashboard names."""

_SUBSCRIPTION_LINK: Final = {
    "title": "This subscription",
    "url": "/d/webhookd-subscription?var-subscription=${__value.raw}&${__url_time_range}",
}
_LINKED_SUBSCRIPTIONS: Final = {
    "matcher": {"id": "byName", "options": "subscription"},
    "properties": [{"id": "links", "value": [_SUBSCRIPTION_LINK]}],
}
"""In a table the id of a subscription leads to its dashboard."""


class Unit(StrEnum):
    """Grafana's names of units."""

    BYTES = "bytes"
    BYTES_PER_S = "Bps"
    COUNT = "short"
    DATE = "dateTimeFromNow"
    PER_S = "cps"
    REQUESTS_PER_S = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"


class Kind(StrEnum):
    """The panels that are used; all belong to Grafana itself."""

    SERIES = "timeseries"
    STAT = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    `queries` has the expressions by the names of their series, in which `{{label}}` stands for the value of a label.
    `warning` and `critical` are the values from which on it is yellow and red; `names` replace values.
    """

    title: str
    description: str
    unit: Unit
    queries: Mapping[str, str]
    kind: Kind = Kind.SERIES
    warning: float | None = None
    critical: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    stacked: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; a dashboard is 24 wide."""
        return (4, 4) if self.kind is Kind.STAT else (12, 8)

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel at a place of the dashboard."""
        width, height = self.size
        return {
            "id": number,
            "type": self.kind.value,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "targets": [
                self._target(*query, letter)
                for query, letter in zip(self.queries.items(), ascii_uppercase, strict=False)
            ],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": self._options(),
            **({"transformations": _TABLE_COLUMNS} if self.kind is Kind.TABLE else {}),
        }

    def _target(self, legend: str, expression: str, letter: str) -> dict[str, Any]:
        now = self.kind is not Kind.SERIES
        return {
            "refId": letter,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": expression,
            "legendFormat": legend,
            "instant": now,
            "range": not now,
            "format": "table" if self.kind is Kind.TABLE else "time_series",
        }

    def _defaults(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        steps += [
            {"color": color, "value": value}
            for color, value in (("yellow", self.warning), ("red", self.critical))
            if value is not None
        ]
        defaults: dict[str, Any] = {
            "unit": self.unit.value,
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": [_named(self.names)] if self.names else [],
        }
        if self.kind is Kind.SERIES:
            defaults |= {"color": {"mode": "palette-classic"}, "min": 0, "custom": self._drawing()}
        elif self.kind is Kind.STAT:
            defaults |= {"color": {"mode": "thresholds"}}
        return defaults

    def _overrides(self) -> list[dict[str, Any]]:
        return [_LINKED_SUBSCRIPTIONS] if self.kind is Kind.TABLE else []

    def _drawing(self) -> dict[str, Any]:
        with_threshold = self.warning is not None or self.critical is not None
        return {
            "lineWidth": 1,
            "fillOpacity": 20 if self.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if with_threshold else "off"},
        }

    def _options(self) -> dict[str, Any]:
        match self.kind:
            case Kind.SERIES:
                legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
                return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
            case Kind.STAT:
                reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
                mode = "value_and_name" if any("{{" in legend for legend in self.queries) else "value"
                return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": mode}
            case Kind.TABLE:
                return {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": "Value", "desc": True}]}


_TABLE_COLUMNS: Final = [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]
"""A table has the labels and the value, not the time of the query."""


def _named(names: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "value", "options": {value: {"text": text} for value, text in names.items()}}


def stat(
    title: str,
    description: str,
    unit: Unit,
    expression: str,
    *,
    legend: str = "",
    warning: float | None = None,
    critical: float | None = None,
) -> Panel:
    """One number of now, or one for each value of the labels in `legend`."""
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries={legend or title: expression},
        kind=Kind.STAT,
        warning=warning,
        critical=critical,
    )


def series(
    title: str,
    description: str,
    unit: Unit,
    queries: Mapping[str, str],
    *,
    warning: float | None = None,
    critical: float | None = None,
    stacked: bool = False,
) -> Panel:
    """Lines over time."""
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        warning=warning,
        critical=critical,
        stacked=stacked,
    )


def table(title: str, description: str, unit: Unit, expression: str) -> Panel:
    """A row for each series of now, with its labels."""
    return Panel(title=title, description=description, unit=unit, queries={"": expression}, kind=Kind.TABLE)
