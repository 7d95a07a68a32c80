"""The dashboards in deploy/grafana are what the generator makes, complete, and show every metric of the catalogue.

Oracles: documentation/dashboards, the JSON of the files, and the catalogue. The expressions are parsed by promtool, in
tests/integration/test_prometheus_files.py. No Grafana is asked.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from documentation.dashboards.files import DASHBOARDS, FOLDER
from documentation.dashboards.panels import Kind, Unit
from tests.harness.deployed_files import GRAFANA, dashboards, expressions, panels
from webhookd.metrics.catalogue.contents import METRICS

FILES = dashboards()
UIDS = {"webhookd-overview", "webhookd-subscription", "webhookd-system", "webhookd-workers"}
SERIES_OF_HISTOGRAM = ("_bucket", "_sum", "_count")

every_dashboard = pytest.mark.parametrize("name", FILES)


def places(dashboard: dict[str, Any]) -> Iterator[set[tuple[int, int]]]:
    """The squares of the grid that each panel covers."""
    for panel in dashboard["panels"]:
        x, y, w, h = (panel["gridPos"][side] for side in "xywh")
        yield {(column, row) for column in range(x, x + w) for row in range(y, y + h)}


@every_dashboard
def test_dashboard_is_what_the_generator_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == DASHBOARDS[name].text(), "make reference writes it anew"


def test_there_is_a_file_for_each_dashboard() -> None:
    assert set(FILES) == set(DASHBOARDS)
    assert {dashboard["uid"] for dashboard in FILES.values()} == UIDS


@every_dashboard
def test_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    for panel in panels(FILES[name]):
        assert panel["title"]
        assert panel["description"].endswith((".", "?"))
        assert panel["fieldConfig"]["defaults"]["unit"] in set(Unit)
        assert panel["targets"]


@every_dashboard
def test_panel_needs_no_plugin_and_asks_the_chosen_data_source(name: str) -> None:
    for panel in panels(FILES[name]):
        assert panel["type"] in set(Kind)
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
    assert FILES[name]["templating"]["list"][0]["type"] == "datasource"


@every_dashboard
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    numbers = [panel["id"] for panel in FILES[name]["panels"]]
    assert len(set(numbers)) == len(numbers)
    covered = list(places(FILES[name]))
    assert [one & other for one, other in combinations(covered, 2) if one & other] == []
    assert max(column for squares in covered for column, _ in squares) < 24


@every_dashboard
def test_variable_that_a_panel_uses_is_declared(name: str) -> None:
    declared = {variable["name"] for variable in FILES[name]["templating"]["list"]}
    asked = [target["expr"] for panel in panels(FILES[name]) for target in panel["targets"]]
    used = {variable for text in asked for variable in re.findall(r"\$(\w+)", text) if not variable.startswith("__")}
    assert used <= declared


@every_dashboard
def test_dashboard_links_to_the_others(name: str) -> None:
    (link,) = FILES[name]["links"]
    assert link["type"] == "dashboards"
    assert set(link["tags"]) <= set(FILES[name]["tags"])


def test_each_metric_is_shown_somewhere() -> None:
    shown = {word for one in FILES.values() for text in expressions(one) for word in re.findall(r"webhookd_\w+", text)}
    shown |= {name.removesuffix(end) for name in shown for end in SERIES_OF_HISTOGRAM}
    assert [metric.name for metric in METRICS if metric.name not in shown] == []


def test_grafana_loads_the_dashboards_from_where_compose_mounts_them() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "webhookd.yml").read_text(encoding="utf-8"))
    compose = yaml.safe_load((GRAFANA.parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))
    mounted = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    assert mounted["./deploy/grafana"] == provider["providers"][0]["options"]["path"]
    for folder in ("dashboards", "datasources"):
        assert mounted[f"./deploy/grafana/provisioning/{folder}"] == f"/etc/grafana/provisioning/{folder}"
        assert list((GRAFANA / "provisioning" / folder).glob("*.yml"))
