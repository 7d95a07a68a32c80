"""The matcher: decides whether a record passes all filters that a subscription has for its topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

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

FAULTS = (FilterTooCostly, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What an evaluation can raise: the library's errors are ValueErrors; `'a' < 1` raises TypeError, ceil(1e999)
OverflowError (an ArithmeticError)."""

_SHOWN_CHARACTERS = 80

_Messages = TypeVar("_Messages")


def shown(expression: str) -> str:
    """A filter as it appears in error texts: cut to 80 characters."""
    return expression[:_SHOWN_CHARACTERS]


def check(expression: str) -> None:
    """Raise InvalidFilter, with detail and position, unless the expression can be used as a filter."""
    parse(expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """A compiled expression with its source text, which error texts quote."""

    source: str
    evaluate: Evaluate


class Matcher:
    """The filters of one subscription for one topic; not thread-safe.

    A filter fails on a record when it raises an error (on types that it cannot compare, for example) or exceeds the
    budget. A failed filter has not rejected the record. If another filter rejects the record, it does not match;
    otherwise it is undecided. `errors` counts the undecided records. `last_error` names the filter and the cause of the
    latest one and contains nothing from the record. `denied` is 0: it has no policies.
    """

    denied: Final = 0

    def __init__(self, expressions: Sequence[str], *, drops_errors: bool = False) -> None:
        """Compile the filters; raises InvalidFilter. With `drops_errors` a filter that raises rejects the record."""
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

    def views(self, messages: _Messages) -> _Messages:
        """The messages as the tenant sees them: unchanged. authorization.topic_matcher has the other kind."""
        return messages

    def matches(self, value: bytes | None) -> bool:
        """Whether the record passes all filters; a tombstone (None) is evaluated as JSON null.

        Raises UndecodableRecord when the value is not JSON in UTF-8, whatever the filters are; FilterFailed or
        FilterTooCostly when a filter failed and no other one rejects the record.
        """
        if self._spends:  # Budget.refill, inlined: the call would make a projection on a small record 2 % slower
            budget = self._budget
            budget.record, budget.left, budget.room = value or b"", STEPS, BUILT_BYTES
        if value is None:
            return self._passes_all(self._whole, None)
        if not self._whole:
            validate(value)
            return True
        try:
            record = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._passes_all(self._whole, decode_strictly(value))
        if len(value) > NUMBER_DIGITS or not value.isascii():
            check_bytes(value)
        return self._passes_all(self._partial, record)

    def _passes_all(self, filters: tuple[_Filter, ...], record: Value) -> bool:
        for one in filters:
            try:
                result = one.evaluate(record)
            except FAULTS as error:
                return self._after_failure(error, one, filters, record)
            if not result and is_false(result):
                return False
        return True

    def _after_failure(self, error: Exception, failed: _Filter, filters: tuple[_Filter, ...], record: Value) -> bool:
        """Evaluate the filters after the failed one: False if one rejects the record, otherwise raise the failure.

        With `drops_errors` the result is also False instead of FilterFailed.

        They continue with the rest of the record's budget. When a filter has used it up, each later filter gets the
        fixed part of the budget, so that a costly filter does not prevent the others from rejecting the record. If
        both kinds of failure occur, FilterFailed is raised, since the owner may have chosen to drop such records.
        """
        fault = _fault(failed, error)
        used_up = isinstance(error, FilterTooCostly)
        for one in filters[filters.index(failed) + 1 :]:
            if used_up:
                self._budget.refill(b"")
            try:
                if is_false(one.evaluate(record)):
                    return False
            except FAULTS as another:
                used_up = used_up or isinstance(another, FilterTooCostly)
                fault = fault if isinstance(fault, FilterFailed) else _fault(one, another)
        self.errors += 1
        self.last_error = fault.detail
        if self._drops_errors and isinstance(fault, FilterFailed):
            return False
        raise fault


def _fault(failed: _Filter, error: Exception) -> FilterFault:
    kind = FilterTooCostly if isinstance(error, FilterTooCostly) else FilterFailed
    return kind(f"{shown(failed.source)}: {reason(error)}")


def reason(error: Exception) -> str:
    """Why an evaluation failed. The library's message on wrong types quotes the record, so it is replaced."""
    if isinstance(error, JMESPathTypeError):
        wanted = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {wanted}, not {error.actual_type}"
    return f"{error}"[:_SHOWN_CHARACTERS]
