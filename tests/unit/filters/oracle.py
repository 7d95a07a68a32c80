"""Results of one expression on one record: from the library, and from the compiled closures on both decodings."""

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
class Result:
    """A result as text, so that 1, 1.0 and true differ; or the name of the error's class."""

    text: str


def expected(expression: str, document: bytes) -> Result:
    """The library's result on the record decoded by `json.loads`."""
    return _result(lambda record: jmespath.search(expression, record), json.loads(document))


def compiled(expression: str, document: bytes) -> Result:
    """The compiled expression's result on the record decoded by `json.loads`."""
    return _result(Compiler(Trace(), Budget()).compile(parse(expression)), json.loads(document))


def partly_decoded(expression: str, document: bytes) -> Result | None:
    """The compiled expression's result on a record decoded only at its paths; None where that is not possible."""
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
    return _result(Compiler(found, Budget()).compile(node), record)


def _result(evaluate: Evaluate, record: Json) -> Result:
    try:
        return Result(repr(evaluate(record)))
    except _RAISED as error:
        return Result(f"raises {type(error).__name__}")
