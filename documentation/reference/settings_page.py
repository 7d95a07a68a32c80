"""docs/reference/settings.md: every setting of webhookd/settings.py by subject."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

from annotated_types import Ge, Gt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from documentation.reference.markdown import code, page, table
from webhookd.kafka_properties import KafkaProperties
from webhookd.settings import PREFIX, Settings, Subject

INTRODUCTION = """\
webhookd reads its settings once, when a process starts, from environment variables. `webhookd settings` prints each
with its value in this environment. A value of the wrong type or outside its bounds ends the process before it starts
any work.

A *list* is written as JSON: `WEBHOOKD_EGRESS_ALLOW='["10.0.0.0/8"]'`. A *secret* is masked wherever settings are
printed or logged. *Not set* means that the variable may be left out and that nothing takes its place."""

TYPES: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Path: "file",
    SecretStr: "secret",
    tuple[str, ...]: "list of texts",
    KafkaProperties: "map, values are secret unless known to be none",
}
UNITS = {"_s": "seconds", "_bytes": "bytes"}


def settings_page() -> str:
    """The whole page."""
    return page("Settings", INTRODUCTION, *(block for subject in Settings.subjects() for block in _group(subject)))


def _group(subject: type[Subject]) -> Iterator[str]:
    yield f"## {subject.title()}"
    rows = [_row(name, field) for name, field in subject.model_fields.items()]
    yield table(["Variable, type and default", "What it is for"], rows)


def _row(name: str, field: FieldInfo) -> list[str]:
    about = f"{code(f'{PREFIX}{name.upper()}')}<br>{_type(name, field)}<br>{_default(name, field)}"
    return [about, field.description or ""]


def _type(name: str, field: FieldInfo) -> str:
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not NoneType]
    shown = [TYPES[kind] if kind in TYPES else _choice(get_args(kind)) for kind in kinds]
    return ", ".join([" of ".join([" or ".join(shown), *_unit(name)]), *_bounds(field)])


def _choice(texts: Sequence[str]) -> str:
    *others, last = map(code, texts)
    return f"{', '.join(others)} or {last}"


def _alternatives(annotation: object) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _unit(name: str) -> list[str]:
    return [unit for suffix, unit in UNITS.items() if name.endswith(suffix)]


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        match bound:
            case Gt(gt=limit):
                yield f"above {limit}"
            case Ge(ge=limit):
                yield f"{limit} or more"


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value is None or value in {"", (), KafkaProperties()}:
        return "not set"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return " ".join(["default", code(text), *_in_words(name, value)])


def _in_words(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401  # a default of any type
    if name.endswith("_bytes"):
        mebibytes, rest = divmod(int(value), 1 << 20)
        yield f"({mebibytes} MiB)" if not rest else f"({int(value) >> 10} KiB)"
    elif name.endswith("_s") and value >= 86400:
        yield f"({value / 86400:g} days)"
    elif name.endswith("_s") and value >= 3600:
        yield f"({value / 3600:g} h)"
