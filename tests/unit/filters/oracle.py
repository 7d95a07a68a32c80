"""What the library answers, and what the compiled closures answer by each of their two ways."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

import jmespath
import msgspec

from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.compilation import Compiler
from webhookd.flow.filters.decoding import Trace, layout
from webhookd.flow.filters.expression import parse
from webhookd.flow.filters.paths import Evaluate

Json: TypeAlias = Any

_RAISED = (ValueError, TypeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result as text, so that 1, 1.0 and true differ, or the class of the error."""

    text: str


def expected(expression: str, document: bytes) -> Answer:
    """The library's answer on `json.loads`."""
    return _answer(lambda record: jmespath.search(expression, record), json.loads(document))


def compiled(expression: str, document: bytes) -> Answer:
    """The compiled answer on the whole record."""
    return _answer(Compiler(Trace(), Budget()).compile(parse(expression)), json.loads(document))


def partly_decoded(expression: str, document: bytes) -> Answer | None:
    """The compiled answer on what the expression names of the record; None where the record is decoded whole."""
    trace = Trace()
    node = parse(expression)
    Compiler(trace, Budget()).compile(node)
    found = layout(trace.paths)
    if found is None:
        return None
    try:
        record = found.decode(document)
    except msgspec.DecodeError:
        return None
    return _answer(Compiler(found, Budget()).compile(node), record)


def _answer(evaluate: Evaluate, record: Json) -> Answer:
    try:
        return Answer(repr(evaluate(record)))
    except _RAISED as error:
        return Answer(f"raises {type(error).__name__}")
