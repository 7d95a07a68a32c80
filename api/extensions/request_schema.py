"""The base class of request schemas: it refuses unknown fields, with the name that was probably meant."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

SUGGESTIONS: Final = 20
"""The most unknown fields of one object for which a name is suggested; a large body may have thousands."""
LONGEST_NAME: Final = 64


class RequestSchema(Schema):
    """A schema whose fields are those of `request_fields`. A field that only responses have may be sent back."""

    class Meta:
        """Unknown fields are refused below, where their names are known."""

        unknown = EXCLUDE

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _knows_every_field(self, _data: object, original: Mapping[str, Any], **_options: object) -> None:
        unknown = [name for name in original if name not in self.fields]
        errors = {
            name: [unknown_name(name if number < SUGGESTIONS else "", known_fields(self), "field")]
            for number, name in enumerate(unknown)
        }
        if errors:
            raise ValidationError(errors)


def unknown_name(name: str, known: Mapping[str, str], kind: str) -> str:
    """What is wrong with a name that is not known; `known` has the place of each name, which may be an inner one."""
    by_plain = {_plain(one): one for one in known}
    plain = _plain(name) if len(name) <= LONGEST_NAME else ""
    near = get_close_matches(plain, list(by_plain), n=1, cutoff=0.7) if plain else []
    if not near:
        return f"is not a {kind}"
    found = by_plain[near[0]]
    where = known[found]
    return f"is not a {kind}: write {found}" if where == found else f"is not a {kind} here: write it as {where}"


def known_fields(schema: Schema) -> Mapping[str, str]:
    """The fields of a schema and of the objects in it, each with its path; an outer one has priority."""
    found: dict[str, str] = {}
    for path in sorted(_paths(schema), key=lambda path: path.count(".")):
        found.setdefault(path.rpartition(".")[2], path)
    return found


def query_names(schema: type[Schema]) -> Sequence[str]:
    """The parameters of a query schema."""
    return list(schema().fields)


def _paths(schema: Schema, above: str = "") -> Iterator[str]:
    for name, field in schema.fields.items():
        if field.dump_only:
            continue
        yield f"{above}{name}"
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, fields.Nested):
            yield from _paths(inner.schema, f"{above}{name}{'[]' if inner is not field else ''}.")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
