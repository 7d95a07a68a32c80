"""The records of two topics that many subscriptions share, and what each of these should get.

Oracle: the jmespath library, on the value that was produced. A number decides what a record contains, so that nothing
has to be kept of it; some values are made to deceive whoever looks for a tenant without decoding them as JSON does.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jmespath

from tests.harness.load import Values

TENANTS = 6
HIDDEN = "card"
"""The member that the policy hides."""

CONDITION = "!internal"
"""What the policy allows."""

UNDECODABLE_EVERY = 23


def value_of(number: int) -> dict[str, Any]:
    """What the record with this number contains, besides its number."""
    return {
        **_tenant(number),
        "amount": number * 7919 % 1000,
        "tags": [("red", "green", "blue")[number % 3], "tenant == '1'"],
        "origin": "eu" if number % 37 == 0 else {"region": "eu" if number % 2 else "us"},
        "internal": number % 11 == 0,
        HIDDEN: f"4000-{number}",
        "pad": "x" * 1500,
    }


def _tenant(number: int) -> dict[str, Any]:
    """Mostly a string; some are a number, a list, or missing, and no filter for a string holds on these."""
    tenant = number % TENANTS
    if number % 29 == 0:
        return {"tenant": tenant}
    if number % 31 == 0:
        return {"tenant": [str(tenant)]}
    return {} if number % 43 == 0 else {"tenant": str(tenant)}


def encoded(number: int, incarnation: int) -> bytes:
    """The value as JSON. In some the tenant is written as an escape sequence, which means the same."""
    text = json.dumps({"n": number, "incarnation": incarnation, **value_of(number)})
    if number % 41 == 0:
        text = text.replace(f'"tenant": "{number % TENANTS}"', f'"tenant": "\\u003{number % TENANTS}"')
    return text.encode()


def undecodable(number: int) -> bytes:
    """A value that is not JSON, although it begins as one of the others does."""
    return encoded(number, 1)[:-1]


def holds(expression: str, value: object) -> bool:
    """Whether a JMESPath expression is true on a value, as the library and its definition of false say."""
    found = _compiled(expression).search(value)
    return not (found is None or found is False or (isinstance(found, str | list | dict) and not found))


@cache
def _compiled(expression: str) -> Any:  # noqa: ANN401  # jmespath has no types
    return jmespath.compile(expression)


class SharedRecords:
    """Makes the records of all topics of a scenario, and knows of each which topic it is of. Loads' threads write here.

    `governed` are the topics that have the policy. `undecodable` and `aborted` are the numbers of records that nobody
    should get: what is not JSON, and what is in a transaction that is aborted.
    """

    def __init__(self, governed: Sequence[str] = ()) -> None:
        self.undecodable: set[int] = set()
        self.aborted: set[int] = set()
        self._governed = governed
        self._topics: dict[int, str] = {}

    def values(self, topic: str, *, undecodable_every: int = 0) -> Values:
        """The values of a load of this topic."""

        def value(number: int, incarnation: int) -> bytes:
            self._topics[number] = topic
            if undecodable_every and number % undecodable_every == 0:
                self.undecodable.add(number)
                return undecodable(number)
            return encoded(number, incarnation)

        return value

    def wanted_by(self, filters: Sequence[str]) -> Callable[[int], bool]:
        """Whether a subscription with these filters should get a record."""

        @cache
        def wanted(number: int) -> bool:
            value = value_of(number) | {"n": number}
            if self._topics[number] in self._governed:
                if not holds(CONDITION, value):
                    return False
                del value[HIDDEN]
            return all(holds(expression, value) for expression in filters)

        def readable(number: int) -> bool:
            return number in self._topics and number not in self.undecodable and number not in self.aborted

        return lambda number: readable(number) and wanted(number)
