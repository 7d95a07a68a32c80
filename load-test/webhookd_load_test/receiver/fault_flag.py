"""The option `--fault` of the command `receive`: a kind of failure with its fields, in one text."""

import math
from typing import Any, get_args

import click
import msgspec

from webhookd_load_test.receiver.faults import Fault, FaultKind

EXAMPLE = "error:share=0.1,status=503,from=10,to=20"

KINDS = get_args(FaultKind)

FIELDS: dict[str, tuple[str, type]] = {
    "share": ("share", float),
    "status": ("status", int),
    "retry_after": ("retry_after_s", int),
    "delay": ("delay_s", float),
    "from": ("from_s", float),
    "to": ("to_s", float),
    "path": ("path", str),
}
"""Names in the text, with the field of Fault and its type."""


def parsed(text: str) -> Fault:
    """Return the fault of a text such as EXAMPLE. Raises ValueError with one line."""
    kind, _, fields = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    given: dict[str, object] = {}
    for pair in filter(None, fields.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or name not in FIELDS:
            raise ValueError(f"{pair!r} is none of {', '.join(f'{known}=…' for known in FIELDS)}")
        field, type_ = FIELDS[name]
        if field in given:
            raise ValueError(f"{name} is given twice")
        given[field] = _number(name, value, type_)
    try:
        return msgspec.convert({"kind": kind, **given}, type=Fault)
    except msgspec.ValidationError as error:
        raise ValueError(_in_terms_of_the_option(str(error))) from None


def _number(name: str, value: str, type_: type) -> object:
    try:
        number = type_(value)
        if type_ is str or math.isfinite(number):
            return number
    except ValueError:
        pass
    kind = "a whole number" if type_ is int else "a number"
    raise ValueError(f"{name}={value} is not {kind}")


def _in_terms_of_the_option(message: str) -> str:
    """The message of a struct, with the names that the option has for its fields."""
    for name, (field, _) in FIELDS.items():
        message = message.replace(f"`$.{field}`", name).replace(f"`{field}`", name)
    reason, _, name = message.partition(" - at ")
    return f"{name}: {reason[0].lower()}{reason[1:]}" if name in FIELDS else reason


class FaultType(click.ParamType[Fault, Any]):
    """Makes a Fault of the option's text."""

    name = "KIND[:FIELD=VALUE,…]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fault:  # noqa: ANN401 - click's own signature
        """Return the fault; fails with the reason and an example."""
        if isinstance(value, Fault):
            return value
        try:
            return parsed(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}; write for example {EXAMPLE}", param, ctx)
