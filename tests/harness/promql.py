"""Which series a PromQL expression reads, and which labels and values it names: enough of the language for tests.

https://prometheus.io/docs/prometheus/latest/querying/basics/. Grafana's own variables and its function `label_values`
may be in the expression.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
OPERATORS = {"=", "!=", "=~", "!~"}

_VARIABLE = re.compile(r"\$\{[^}]*\}")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_:$][\w:$]*|[{}(),]|[=!~<>]+')
_LABEL_VALUES = re.compile(r"label_values\(\s*(.+),\s*(\w+)\s*\)", re.DOTALL)
_SERIES = re.compile(r"webhookd_[a-z0-9_]+|\w*:?\w*webhookd\w*:[\w:]+")


@dataclass(slots=True)
class Read:
    """What an expression reads."""

    series: set[str] = field(default_factory=set)
    """The names of webhookd's series; those with a colon are recorded by a rule."""
    matched: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """By series: the labels that its selectors match, each with the values, a regular expression's alternatives."""
    grouped: set[str] = field(default_factory=set)
    """The labels by which it groups or joins."""


def read(expression: str) -> Read:
    """Return what an expression reads."""
    found = Read()
    text = _VARIABLE.sub("variable", expression)
    if asked := _LABEL_VALUES.fullmatch(text.strip()):
        text = asked[1]
        found.grouped.add(asked[2])
    tokens = _TOKEN.findall(text)
    for place, (token, following) in enumerate(zip(tokens, [*tokens[1:], ""], strict=True)):
        rest = iter(tokens[place + 2 :])
        if token in GROUPINGS and following == "(":
            found.grouped |= set(_until(rest, ")")) - {","}
        elif _SERIES.fullmatch(token):
            found.series.add(token)
            labels = found.matched.setdefault(token, {})
            for label, value in _matchers(list(_until(rest, "}")) if following == "{" else []):
                labels.setdefault(label, set()).update(value.split("|"))
    return found


def _until(tokens: Iterator[str], end: str) -> Iterator[str]:
    for token in tokens:
        if token == end:
            return
        yield token


def _matchers(tokens: list[str]) -> Iterator[tuple[str, str]]:
    for label, operator, quoted in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if operator in OPERATORS:
            yield label, quoted[1:-1]
