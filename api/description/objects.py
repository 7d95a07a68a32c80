"""The objects of the document: those of requests say what is accepted, those of responses say what is always there.

    Subscription            in responses: every field is required, and no bound is promised
    SubscriptionRequest     in requests: bounds, patterns and defaults; unknown fields are refused

An object that is in both gets two forms, since a client that checks answers must not refuse what an older version of
webhookd has accepted. A response field with the mark CONDITIONAL may be missing. Responses may get further fields in
later versions, so their objects do not exclude them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Spec = dict[str, Any]

REQUEST: Final = "Request"
"""What is added to the name of an object's form for requests."""

CONDITIONAL: Final = "x-conditional"
"""The mark of a response field that is not in every response, in the metadata of a marshmallow field."""

NEVER_NULL: Final = "x-never-null"
"""The mark of a field that may be null in requests only."""

ALWAYS: Final = "x-always"
"""The keyword of an object that lists the only fields that every response has."""

SCHEMAS: Final = "#/components/schemas/"

BOUNDS: Final = frozenset(
    {"default", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "uniqueItems"}
    | {"maxProperties", "propertyNames"}
)

WIDER: Final[Mapping[str, str]] = {"uri": "iri"}
"""The formats of responses where older requests, or ones that are not described, have had more freedom."""

ALTERNATIVES: Final[Mapping[str, str]] = {"Subscription": "UnusableSubscription"}
"""In lists the second object may be in the place of the first one."""


def separate(spec: Spec) -> None:
    """Replace the objects of the document by their forms."""
    schemas = spec["components"]["schemas"]
    operations = [one for item in spec["paths"].values() for one in item.values() if isinstance(one, dict)]
    sent = closure(schemas, [one["requestBody"] for one in operations if "requestBody" in one])
    answered = closure(schemas, [one["responses"] for one in operations])
    names = {name: f"{name}{REQUEST}" for name in sent & answered}
    forms = {names.get(name, name): request_form(_renamed(schemas[name], names)) for name in sent}
    forms |= {name: answer_form(schemas[name]) for name in answered | set(_alternatives(answered))}
    for operation in operations:
        if "requestBody" in operation:
            operation["requestBody"] = _renamed(operation["requestBody"], names)
        for response in operation["responses"].values():
            _allow_alternatives(response)
    spec["components"]["schemas"] = {name: forms[name] for name in sorted(forms)}


def request_form(schema: Spec) -> Spec:
    """Return an object as requests have it: it has no other fields."""
    properties = {name: _plain(field) for name, field in schema["properties"].items()}
    return {**schema, "properties": properties, "additionalProperties": False}


def answer_form(schema: Spec) -> Spec:
    """Return an object as responses have it: every field is there, unless it is conditional."""
    required = schema.get(ALWAYS) or [name for name, one in schema["properties"].items() if CONDITIONAL not in one]
    properties = {name: _plain(_not_null(_unbounded(field))) for name, field in schema["properties"].items()}
    rest = {key: value for key, value in schema.items() if key not in {"required", "additionalProperties", ALWAYS}}
    return {**rest, "properties": properties, **({"required": required} if required else {})}


def closure(schemas: Mapping[str, Any], roots: Iterable[object]) -> set[str]:
    """Return the names of all objects that these parts of a document refer to, directly or through others."""
    found, waiting = set[str](), set(names_in(roots))
    while waiting:
        found |= waiting
        waiting = set(names_in(schemas[name] for name in waiting)) - found
    return found


def names_in(parts: Iterable[object]) -> Iterator[str]:
    """Yield the names of the objects that these parts of a document refer to."""
    for part in parts:
        if isinstance(part, Mapping):
            reference = part.get("$ref")
            if isinstance(reference, str) and reference.startswith(SCHEMAS):
                yield reference.removeprefix(SCHEMAS)
            yield from names_in(part.values())
        elif isinstance(part, list):
            yield from names_in(part)


def _alternatives(names: Iterable[str]) -> Iterator[str]:
    return (ALTERNATIVES[name] for name in names if name in ALTERNATIVES)


def _allow_alternatives(response: Spec) -> None:
    for content in response.get("content", {}).values():
        items = content["schema"].get("items", {})
        for other in _alternatives(names_in([items])):
            content["schema"]["items"] = {"anyOf": [items, {"$ref": f"{SCHEMAS}{other}"}]}


def _renamed(part: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401  # any JSON there is
    if isinstance(part, dict):
        return {
            key: SCHEMAS + names.get(value.removeprefix(SCHEMAS), value.removeprefix(SCHEMAS))
            if key == "$ref" and isinstance(value, str)
            else _renamed(value, names)
            for key, value in part.items()
        }
    return [_renamed(one, names) for one in part] if isinstance(part, list) else part


def _unbounded(field: Spec) -> Spec:
    inner = {
        key: _unbounded(field[key]) for key in ("items", "additionalProperties") if isinstance(field.get(key), dict)
    }
    wider = {"format": WIDER[field["format"]]} if field.get("format") in WIDER else {}
    return {key: value for key, value in field.items() if key not in BOUNDS} | inner | wider


def _not_null(field: Spec) -> Spec:
    if NEVER_NULL not in field:
        return field
    kinds = [kind for kind in field["type"] if kind != "null"]
    values = {"enum": [value for value in field["enum"] if value is not None]} if "enum" in field else {}
    return {**field, **values, "type": kinds[0]}


def _plain(field: Spec) -> Spec:
    """Return a field without marks, and with `examples` for the older `example`."""
    found = {key: value for key, value in field.items() if key not in {CONDITIONAL, NEVER_NULL, "example"}}
    return found | ({"examples": [field["example"]]} if "example" in field else {})
