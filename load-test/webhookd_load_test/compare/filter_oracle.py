"""Says which records a subscription wants, by the `jmespath` library and not by webhookd's own engine of filters.

A record is wanted when all filters hold. A filter that does not hold rejects the record, also when another one raises.
A record that no filter rejects and that one cannot judge is undecided: webhookd does not deliver it, whatever
`on_filter_error` is. So is one that is not JSON in UTF-8. The budget of filters is not known here: a record that costs
a filter more than that counts as wanted.
"""

from collections.abc import Sequence
from typing import Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from webhookd_load_test.compare.number_set import NumberSet
from webhookd_load_test.json_text import Json, parsed

_FAILURES = (JMESPathError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What the library raises for a record: its own errors, and those of the functions that it calls."""

_NOT_JSON: Final = object()


class Filter:
    """One expression. Raises jmespath.exceptions.JMESPathError when it is not one."""

    def __init__(self, expression: str) -> None:
        self._parsed = jmespath.compile(expression).parsed
        self._interpreter = TreeInterpreter()  # kept: a new one for each record takes three times as long

    def holds(self, record: Json) -> bool | None:
        """Whether the record passes; None when the filter cannot judge it."""
        try:
            found = self._interpreter.visit(self._parsed, record)
        except _FAILURES:
            return None
        return not (found is None or found is False or (isinstance(found, (str, list, dict)) and not found))


class Selection:
    """What all subscriptions with the same topics and filters want: the numbers of records, and how many undecided."""

    def __init__(self, topics: Sequence[str], filters: Sequence[str]) -> None:
        self.topics = frozenset(topics)
        self.filters = tuple(filters)
        self.wanted = NumberSet()
        self.undecided = NumberSet()

    def add(self, number: int, verdicts: Sequence[bool | None]) -> None:
        """Take what each of its filters says of a record of its topics."""
        if False in verdicts:
            return
        (self.undecided if None in verdicts else self.wanted).add(number)


class FilterOracle:
    """Judges each record once for all selections; a filter that several have is evaluated once."""

    def __init__(self, selections: Sequence[Selection]) -> None:
        """Raises JMESPathError for an expression that is not one."""
        self._selections = selections
        self._filters = {one: Filter(one) for selection in selections for one in selection.filters}
        self._by_topic: dict[str, list[Selection]] = {}
        self._expressions: dict[str, list[str]] = {}
        for topic in {topic for selection in selections for topic in selection.topics}:
            wanting = [selection for selection in selections if topic in selection.topics]
            self._by_topic[topic] = wanting
            self._expressions[topic] = list(dict.fromkeys(one for each in wanting for one in each.filters))

    def add(self, number: int, topic: str, payload: bytes) -> None:
        """Judge a record."""
        wanting = self._by_topic.get(topic)
        if wanting is None:
            return
        record = _decoded(payload)
        if record is _NOT_JSON:
            for selection in wanting:
                selection.undecided.add(number)
            return
        verdicts = {one: self._filters[one].holds(record) for one in self._expressions[topic]}
        for selection in wanting:
            selection.add(number, [verdicts[one] for one in selection.filters])


def _decoded(payload: bytes) -> Json:
    try:
        return parsed(payload)
    except (ValueError, RecursionError):
        return _NOT_JSON
