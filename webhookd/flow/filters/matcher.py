"""Whether a record is one the subscription wants."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from jmespath.exceptions import JMESPathTypeError

from webhookd.errors import FilterFailed, FilterFault, FilterTooCostly
from webhookd.flow.filters.budget import BUILT_BYTES, STEPS, Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.costs import spends
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


def shown(expression: str) -> str:
    """A filter as errors name it."""
    return expression[:_SHOWN_CHARACTERS]


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

    A filter that raises on a record (a type it cannot compare), or takes too many steps, has not said no: the record is
    not wanted if another filter says no, and otherwise undecided. `errors` counts the undecided records, and
    `last_error` says, without anything of the record, which filter it was and why.
    """

    def __init__(self, expressions: Sequence[str], *, drops_errors: bool = False) -> None:
        """InvalidFilter when one does not parse or is out of bounds; `drops_errors`: one that raises says no."""
        self.errors = 0
        self.last_error = ""
        self._drops_errors = drops_errors
        self._budget = Budget()
        nodes = [parse(expression) for expression in expressions]
        self._spends = any(spends(node) for node in nodes)
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

        UndecodableRecord when the value is not JSON that can be passed on, whatever the filters say. FilterFailed and
        FilterTooCostly when none of them says no, and one could not be evaluated.
        """
        if self._spends:  # Budget.refill, without the call: it would cost a projection on a small record a fiftieth
            budget = self._budget
            budget.record, budget.left, budget.room = value or b"", STEPS, BUILT_BYTES
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
        for one in filters:
            try:
                result = one.evaluate(record)
            except _FAULTS as error:
                return self._despite(error, one, filters, record)
            if not result and is_false(result):
                return False
        return True

    def _despite(self, error: Exception, failed: _Filter, filters: tuple[_Filter, ...], record: Value) -> bool:
        """False when a filter behind the failed one says no; otherwise raise what the failed one came to.

        They go on with what is left of the record's budget. Once a costly filter has used it up, each of them has what
        any record may cost, so that it does not silence the others. Where both kinds of error occur the one that raised
        decides: its owner may have chosen to drop such records.
        """
        fault = _fault(failed, error)
        used_up = isinstance(error, FilterTooCostly)
        for one in filters[filters.index(failed) + 1 :]:
            if used_up:
                self._budget.refill(b"")
            try:
                if is_false(one.evaluate(record)):
                    return False
            except _FAULTS as another:
                used_up = used_up or isinstance(another, FilterTooCostly)
                fault = fault if isinstance(fault, FilterFailed) else _fault(one, another)
        self.errors += 1
        self.last_error = fault.detail
        if self._drops_errors and isinstance(fault, FilterFailed):
            return False
        raise fault


def _fault(failed: _Filter, error: Exception) -> FilterFault:
    kind = FilterTooCostly if isinstance(error, FilterTooCostly) else FilterFailed
    return kind(f"{shown(failed.source)}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Why an evaluation failed; the library's message on types quotes the record, so it is told anew."""
    if isinstance(error, JMESPathTypeError):
        wanted = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {wanted}, not {error.actual_type}"
    return f"{error}"[:_SHOWN_CHARACTERS]
