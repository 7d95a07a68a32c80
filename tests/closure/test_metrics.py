"""Every metric is declared in the catalogue and recorded somewhere, and what is written about metrics names real ones.

Oracles: webhookd/metrics/catalogue; Python's own parser; PyYAML and json over the files in deploy/. test_reference.py
checks that docs/reference/metrics.md is generated, and import-linter who may import prometheus-client.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.closure.findings import told
from tests.harness.deployed_files import content, files, mappings, rules
from tests.harness.promql import Read, read
from webhookd.metrics.catalogue import api, ingest, records, services, worker
from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import Metric, Process, Sampled

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("webhookd", "workers", "api", "command")
CATALOGUE = ROOT / "webhookd" / "metrics" / "catalogue"
CATALOGUE_NAME = "webhookd.metrics.catalogue"
DECLARATION = "webhookd.metrics.declaration"
KINDS = {"Counter", "Gauge", "Histogram", "Sampled"}

PAGES = [path for path in (ROOT / "docs" / "how-to").glob("*.md") if path.stem in {"monitor", "runbooks"}]
TARGET_LABELS = {"job", "instance"}
"""Labels that Prometheus itself adds to every series."""
EXPRESSIONS = {"expr", "query", "definition", "series"}
"""The keys of PromQL in files of rules, of tests of rules, and of dashboards."""

MODULES = [
    path for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py")) if not path.is_relative_to(CATALOGUE)
]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def constants() -> Mapping[str, Metric]:
    """The metrics of the catalogue by the names that modules import."""
    modules = (api, ingest, records, services, worker)
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, Metric)}


def imported(tree: ast.Module, *modules: str) -> dict[str, str]:
    """What a module imports from others, by the name that it has there."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in modules]
    return {alias.asname or alias.name: alias.name for node in imports for alias in node.names}


def used_metrics(tree: ast.Module) -> set[str]:
    """The constants of the catalogue that a module uses, and does not only import."""
    own = imported(tree, *(f"{CATALOGUE_NAME}.{path.stem}" for path in CATALOGUE.glob("*.py")))
    modules = imported(tree, CATALOGUE_NAME)
    names = {own[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in own}
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return names | {node.attr for node in attributes if ast.unparse(node.value) in modules}


def declaring_calls(tree: ast.Module) -> Iterator[str]:
    """Calls that declare a metric, whatever the module calls the classes."""
    own = {name for name, original in imported(tree, DECLARATION).items() if original in KINDS}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = ast.unparse(call.func)
        if called in own or re.search(rf"\bdeclaration\.({'|'.join(KINDS)})$", called):
            yield f"{called}, line {call.lineno}"


def test_the_catalogue_holds_all_declared_metrics() -> None:
    missing = [name for name, metric in constants().items() if metric not in METRICS]
    assert missing == [], told("metrics that are in no part of webhookd/metrics/catalogue/contents.py", missing)
    assert len(constants()) == len(METRICS)


def test_only_the_catalogue_declares_metrics() -> None:
    found = [f"{path.relative_to(ROOT)}: {call}" for path in MODULES for call in declaring_calls(parsed(path))]
    assert found == [], told("metrics that are declared outside webhookd/metrics/catalogue", found)
    assert list(declaring_calls(parsed(CATALOGUE / "api.py")))


def test_each_metric_is_recorded_somewhere() -> None:
    used = set().union(*(used_metrics(parsed(path)) for path in MODULES))
    silent = [f"{name} ({metric.name})" for name, metric in constants().items() if name not in used]
    assert silent == [], told("metrics that nothing records", silent)


def test_the_api_samples_nothing() -> None:
    """A source reads one process, and the API has several: its metrics are recorded."""
    sampled = [one.name for one in METRICS if isinstance(one, Sampled) and Process.API in one.processes]
    assert sampled == [], told("sampled metrics that the API would not serve", sampled)


def labels_by_series() -> dict[str, set[str]]:
    """The labels of each series that a process serves."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        labels = {*metric.labels, *TARGET_LABELS}
        if metric.kind != "histogram":
            found[metric.name] = labels
            continue
        found |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
        found[f"{metric.name}_bucket"] = labels | {"le"}
    return found


def expressions() -> Iterator[tuple[str, Read]]:
    """Every expression in deploy/ with its place."""
    for path in files():
        texts = [mapping[key] for mapping in mappings(content(path)) for key in EXPRESSIONS & mapping.keys()]
        for text in texts:
            if isinstance(text, str) and text:
                yield f"{path.relative_to(ROOT)}: {text}", read(text)


def recorded() -> dict[str, Read]:
    """What the expressions of the recording rules read, by the names that they record."""
    return {str(rule["record"]): read(str(rule["expr"])) for rule in rules() if "record" in rule}


def known_series() -> dict[str, set[str]]:
    """The labels that each series may have: those of a recorded one come from what its rule reads."""
    known = labels_by_series()
    for name, rule in recorded().items():  # in the order of the file, as Prometheus evaluates a group
        known[name] = set().union(*(known.get(one, set()) for one in rule.series))
    return known


def test_each_expression_reads_series_that_exist() -> None:
    known, found = known_series(), list(expressions())
    missing = [f"{place}\n    {one}" for place, what in found for one in what.series if one not in known]
    assert missing == [], told("series in deploy/ that nothing serves and no rule records", missing)
    assert any(what.series for _, what in found), "deploy/ has no expression"


def test_each_expression_names_labels_that_exist() -> None:
    known = known_series()
    wrong = [
        f"{place}\n    {series} has no label {label}"
        for place, what in expressions()
        for series, labels in what.matched.items()
        for label in labels.keys() - known.get(series, labels.keys())
    ]
    for place, what in expressions():
        allowed = set().union(TARGET_LABELS, *(known.get(one, set()) for one in what.series))
        wrong += [f"{place}\n    nothing in it has a label {label}" for label in what.grouped - allowed if what.series]
    assert wrong == [], told("labels in deploy/ that the series do not have", wrong)


def test_each_name_in_deploy_and_in_the_pages_exists() -> None:
    names = {*labels_by_series(), *(metric.name for metric in METRICS)}
    unknown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (*files(), *PAGES)
        for name in re.findall(r"(?<![\w:])webhookd_[a-z0-9_]*[a-z0-9](?![\w:])", path.read_text(encoding="utf-8"))
        if name not in names
    ]
    assert unknown == [], told("metrics that the catalogue does not have", unknown)


def test_each_recording_rule_has_one_name() -> None:
    names = [str(rule["record"]) for rule in rules() if "record" in rule]
    assert sorted(set(names)) == sorted(names)
