"""The form of a setting in words: what its type, the unit in its name and its bounds ask for.

The same words are in error lines, in `webhookd settings` and in docs/reference/settings.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Form:
    """What a type of text asks for, to be read after "write": a noun with its article. Metadata of the type."""

    noun: str
    hidden: bool = False
    """Whether a value may contain a password, so that no error line may repeat it."""


UNITS = {"_s": " of seconds", "_bytes": " of bytes"}

NOUNS: Mapping[object, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "the path of a file",
    SecretStr: "a secret text",
}


def form_of(name: str, field: FieldInfo) -> str:
    """Return what to write for this setting: a noun with its article, its unit and its bounds."""
    own = _own_form(field)
    if own is not None:
        return own.noun
    kind = kind_of(field.annotation)
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "") if is_number(kind) else ""
    return f"{_noun(kind)}{unit}{bounds_of(field)}"


def bounds_of(field: FieldInfo) -> str:
    """Return the bounds of a number, with a space before them; empty for what has none."""
    low = next((f"from {_number(bound.ge)}" for bound in field.metadata if isinstance(bound, Ge)), "")
    low = next((f"above {_number(bound.gt)}" for bound in field.metadata if isinstance(bound, Gt)), low)
    high = next((f"to {_number(bound.le)}" for bound in field.metadata if isinstance(bound, Le)), "")
    high = next((f"below {_number(bound.lt)}" for bound in field.metadata if isinstance(bound, Lt)), high)
    return "".join(f" {part}" for part in (low, high) if part)


def written(value: object) -> str:
    """Return a value as it would be written in the environment; empty for one that is not set."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(map(written, value))
        case _:
            return _number(value)


def is_hidden(field: FieldInfo) -> bool:
    """Whether no error line may repeat a value of this setting."""
    own = _own_form(field)
    return (own is not None and own.hidden) or kind_of(field.annotation) is SecretStr


def kind_of(annotation: object) -> Any:  # noqa: ANN401  # a type, or one of typing's own objects
    """Return the type without None and without the metadata of `Annotated`."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if is_union(annotation):
        return kind_of(next(kind for kind in get_args(annotation) if kind is not NoneType))
    return annotation


def is_union(annotation: object) -> bool:
    """Whether it has alternatives, of which None is one: the setting may be not set."""
    return get_origin(annotation) in {Union, UnionType}


def is_list(kind: object) -> bool:
    """Whether a setting of this type is a list."""
    return get_origin(kind) in {tuple, list, frozenset}


def is_choice(kind: object) -> bool:
    """Whether a setting of this type is one of a few words."""
    return get_origin(kind) is Literal


def is_number(kind: object) -> bool:
    """Whether a setting of this type is a number."""
    return kind in {int, float}


def _own_form(field: FieldInfo) -> Form | None:
    """Return the form that the type of the setting brings; pydantic leaves that of `X | None` in the annotation."""
    alternatives = get_args(field.annotation) if is_union(field.annotation) else ()
    return _form_in([*field.metadata, *(item for kind in alternatives for item in _metadata(kind))])


def _form_in(metadata: Iterable[object]) -> Form | None:
    return next((item for item in metadata if isinstance(item, Form)), None)


def _noun(kind: object) -> str:
    if is_choice(kind):
        return _alternatives([f"`{word}`" for word in get_args(kind)])
    if is_list(kind):
        item = _form_in(_metadata(get_args(kind)[0]))
        of = f", each {item.noun}" if item else ""
        return f"a list, separated by commas or as JSON{of}"
    return NOUNS.get(kind, NOUNS[str])


def _metadata(annotation: object) -> Iterator[object]:
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]


def _alternatives(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _number(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
