"""Random filters and records for matching many subscriptions at once: few fields and values, which often meet."""

import json
from random import Random

from tests.unit.filters.generator import Generator
from webhookd.flow.filters.costs import spends
from webhookd.flow.filters.expression import parse

FIELDS = ("a", "b", "a.b", "c.b", "c", '"été"', "c.b.a", "d.a", "d.b")
LITERALS = ("'x'", "'y'", "''", "'1'", "`0`", "`1`", "`1.0`", "`-0.0`", "`2.5`", "`true`", "`false`", "`null`", "`[1]`")
EXACT = ("`9007199254740993`", "`9007199254740992.0`", "`1e400`", '`"x"`', "'été'")
VALUES = (
    *('"x"', '"y"', '""', '"1"', "0", "1", "1.0", "-0.0", "2.5", "true", "false", "null", "[1]", "[true]", "{}"),
    *("9007199254740993", "9007199254740992.0", "1e400", '{"b": "x"}', '{"b": 1}', '{"b": {"a": "x"}}', '"\\ud800"'),
    *('"été"', '"\\u0078"', "[]", "1e0", "10E-1", '[{"b": "x"}]'),
)


class SharedCases:
    """Generates filters that may be shared, and records; the same ones for the same seed.

    With `whole` some filters read the whole record.
    """

    def __init__(self, seed: int, *, whole: bool = True) -> None:
        self._whole = whole
        self.random = Random(seed)  # noqa: S311 - test data
        self._others = Generator(seed)

    def filters(self) -> list[str]:
        """The filters of one subscription."""
        return [self.filter() for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3)))]

    def filter(self) -> str:
        """An expression that does not spend of the budget."""
        if self._whole and self.random.random() < 0.15:
            return self._other()
        return " && ".join(self._conjunct() for _ in range(self.random.choice((1, 1, 1, 2, 2, 3))))

    def record(self) -> bytes:
        """An object with some of the fields; rarely any JSON value."""
        kind = self.random.random()
        if kind < 0.1:
            return self._others.record().encode()
        if kind < 0.2:
            return self._others.object().encode()
        names = self.random.sample(("a", "b", "c", "d", "été"), self.random.randrange(6))
        members = [f"{json.dumps(name)}: {self.random.choice(VALUES)}" for name in names]
        return f"{{{', '.join(members)}}}".encode()

    def _other(self) -> str:
        while spends(parse(found := self._others.expression())):
            pass
        return found

    def _conjunct(self) -> str:
        kind = self.random.random()
        if kind < 0.1:
            return f"({' || '.join(self._comparison('==') for _ in range(2))})"
        if kind < 0.2:
            field = self.random.choice(FIELDS)
            return f"({field} == {self._literal()} || {self._literal()} == {field})"
        if kind < 0.25:
            return f"({self._conjunct()} && {self._conjunct()})"
        if kind < 0.35:
            return self.random.choice(("", "!")) + self.random.choice(FIELDS)
        operators = ("==", "==", "==", "==", "!=", "<", ">=")
        return self._comparison(self.random.choice(operators))

    def _comparison(self, operator: str) -> str:
        sides = [self.random.choice(FIELDS), self._literal()]
        if self.random.random() < 0.2:
            sides.reverse()
        return f"{sides[0]} {operator} {sides[1]}"

    def _literal(self) -> str:
        return self.random.choice(EXACT if self.random.random() < 0.15 else LITERALS)
