"""Whether a record is one the subscription wants."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from jmespath.exceptions import JMESPathTypeError

from webhookd.errors import FilterTooCostly
from webhookd.flow.filters.budget import STEPS, Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.decoding import (
    NUMBER_DIGITS,
    Trace,
    check_bytes,
    decode_all,
    decode_strictly,
    layout,
    validate,
)
from webhookd.flow.filters.expression import Node, parse
from webhookd.flow.filters.paths import Evaluate, Value

_FAULTS = (FilterTooCostly, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What an evaluation raises: the library's errors are ValueErrors, `'a' < 1` a TypeError, ceil(1e999) arithmetic."""

_SHOWN_CHARACTERS = 80


def check(expression: str) -> None:
    """InvalidFilter, with detail and position, unless the expression can be used as a filter."""
    parse(expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """One compiled expression; `source` is what error messages call it."""

    source: str
    evaluate: Evaluate


class Matcher:
    """The filters of one subscription and topic; used by one thread.

    A filter that raises on a record, or takes too many steps, counts as no match: `errors` counts those records and
    `last_error` says, without anything of the record, which filter it was and why.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        """InvalidFilter when one does not parse or is out of bounds."""
        self.errors = 0
        self.last_error = ""
        self._budget = Budget()
        nodes = [parse(expression) for expression in expressions]
        trace = Trace()
        self._whole = self._compiled(Compiler(trace, self._budget), expressions, nodes)
        found = layout(trace.paths)
        self._decode = found.decode if found else decode_all
        self._partial = self._compiled(Compiler(found, self._budget), expressions, nodes) if found else self._whole

    @staticmethod
    def _compiled(compiler: Compiler, expressions: Sequence[str], nodes: Sequence[Node]) -> tuple[_Filter, ...]:
        return tuple(
            _Filter(source=expression, evaluate=compiler.compile(node))
            for expression, node in zip(expressions, nodes, strict=True)
        )

    def matches(self, value: bytes | None) -> bool:
        """Whether all filters hold for the record; a tombstone (None) is JSON null.

        UndecodableRecord when the value is not JSON that can be passed on, whatever the filters say.
        """
        if value is None:
            return self._hold(self._whole, None)
        if not self._whole:
            validate(value)
            return True
        try:
            record = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._hold(self._whole, decode_strictly(value))
        if len(value) > NUMBER_DIGITS or not value.isascii():
            check_bytes(value)
        return self._hold(self._partial, record)

    def _hold(self, filters: tuple[_Filter, ...], record: Value) -> bool:
        self._budget.left = STEPS
        for one in filters:
            try:
                result = one.evaluate(record)
            except _FAULTS as error:
                self._note(one.source, error)
                return False
            if not result and is_false(result):
                return False
        return True

    def _note(self, source: str, error: Exception) -> None:
        self.errors += 1
        self.last_error = f"{source[:_SHOWN_CHARACTERS]}: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Why an evaluation failed; the library's message on types quotes the record, so it is told anew."""
    if isinstance(error, JMESPathTypeError):
        wanted = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {wanted}, not {error.actual_type}"
    return f"{error}"[:_SHOWN_CHARACTERS]
