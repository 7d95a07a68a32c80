"""The records of two topics that many subscriptions share, and what each of these should get.

Oracle: the jmespath library, on the value that was produced. A number decides what a record contains, so that nothing
has to be kept of it. Some values are made to deceive whoever looks for a tenant without decoding them as JSON does.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from zlib import crc32

import jmespath

from tests.harness.load import Values

TENANTS = 6
HIDDEN = "card"
"""The member that the policy hides."""

CONDITION = "!internal"
"""What the policy allows."""

ESCAPED_EVERY, UNDECODABLE_EVERY = 41, 23


def value_of(number: int) -> dict[str, Any]:
    """What the record with this number contains, besides its number."""
    drawn = _drawn(number)
    return {
        **_tenant(drawn),
        "amount": drawn % 1000,
        "tags": [("red", "green", "blue")[drawn % 3], "tenant == '1'"],
        "origin": "eu" if drawn % 37 == 0 else {"region": "eu" if drawn % 8 < 4 else "us"},
        "internal": drawn % 11 == 0,
        HIDDEN: f"4000-{number}",
        "pad": "x" * 1500,
    }


def _drawn(number: int) -> int:
    """A number without a pattern: two loads that take turns give one topic even numbers, the other one odd ones."""
    return crc32(b"%d" % number)


def _tenant(drawn: int) -> dict[str, Any]:
    """Mostly a string; some are a number, a list, or missing, and no filter for a string holds on these."""
    tenant = drawn // 8 % TENANTS
    if drawn % 29 == 0:
        return {"tenant": tenant}
    if drawn % 31 == 0:
        return {"tenant": [str(tenant)]}
    return {} if drawn % 43 == 0 else {"tenant": str(tenant)}


def encoded(number: int, incarnation: int) -> bytes:
    """The value as JSON. In some the tenant is written as an escape sequence, which means the same."""
    text = json.dumps({"n": number, "incarnation": incarnation, **value_of(number)})
    if _drawn(number) % ESCAPED_EVERY == 0:
        text = re.sub(r'"tenant": "(\d)"', r'"tenant": "\\u003\1"', text)
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
