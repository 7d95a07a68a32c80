"""The label values that expressions in deploy/ compare with are those that webhookd gives.

A value that is written wrong would match nothing, and an alert with it would never fire. Oracles: the help texts in
webhookd/metrics/catalogue, which name the values in backticks; the kinds of processes; the codes of errors.
"""

import re
from collections.abc import Iterator

from tests.closure.findings import told
from tests.harness.deployed_files import dashboards, expressions, rules
from tests.harness.promql import read
from webhookd.errors import WebhookdError
from webhookd.metrics.catalogue.contents import METRICS
from webhookd.metrics.declaration import Process

CLASSES_OF_STATUS = {"5.."}


def error_codes() -> Iterator[str]:
    pending = [WebhookdError]
    while pending:
        one = pending.pop()
        pending += one.__subclasses__()
        yield one.code


def matched() -> Iterator[tuple[str, str, str]]:
    """The metric, the label and each value of every selector; series that a rule records are left out."""
    texts = [*(str(rule["expr"]) for rule in rules())]
    texts += [text for dashboard in dashboards().values() for text in expressions(dashboard)]
    for name, labels in (item for text in texts for item in read(text).matched.items() if ":" not in item[0]):
        yield from ((name, label, value) for label, values in labels.items() for value in values)


def known(name: str, label: str) -> set[str]:
    (metric,) = [one for one in METRICS if one.name == name]
    assert label in metric.labels
    values = {"process": {one.value for one in Process}, "code": set(error_codes()), "status": CLASSES_OF_STATUS}
    return values.get(label, set(re.findall(r"`(\w+)`", metric.help)))


def test_each_label_value_in_an_expression_exists() -> None:
    found = {one for one in matched() if one[1] != "subscription"}  # their values are ids, and `other`
    assert ("webhookd_commits_total", "result", "failed") in found
    wrong = [f"{name}{{{label}={value}}}" for name, label, value in sorted(found) if value not in known(name, label)]
    assert wrong == [], told("label values that webhookd does not give", wrong)
