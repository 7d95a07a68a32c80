"""JSON Merge Patch (RFC 7396) on the document of a subscription.

A patch changes the document as GET shows it: masked header values stay, a list is replaced as a whole, `null` removes a
field, which then has its default. What results is validated as the document of a PUT is.

The algorithm is the ten lines of `apply`. A package for it would be a dependency of the product without saving a line:
those on PyPI change the document in place, or patch any Python object.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, missing

from api.extensions.error_responses import InvalidDocument
from api.extensions.request_body import flatten
from api.extensions.request_schema import RequestSchema
from api.resources.subscription.labels import VALUE, VALUE_CHARACTERS
from api.resources.subscription.schemas import SubscriptionSchema

MEDIA_TYPE: Final = "application/merge-patch+json"

Patch = Mapping[str, Any]


def apply(target: Any, patch: Any) -> Any:  # noqa: ANN401  # any JSON there is
    """Return the patched document; neither argument is changed. The algorithm is that of RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


def patched(shown: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    """Return the validated document that the patch makes of the shown one; raises InvalidDocument."""
    schema = SubscriptionSchema()
    document = _with_unknown_names(schema, apply(shown, patch), patch)
    try:
        loaded: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        raise InvalidDocument(list(flatten(error.messages))) from error
    return loaded


def _with_unknown_names(schema: Schema, document: dict[str, Any], patch: Patch) -> dict[str, Any]:
    """Put the removed names back that the schema does not know: they are refused, as they are in a PUT."""
    result = dict(document)
    for name, value in patch.items():
        field = schema.fields.get(name)
        if field is None:
            result[name] = value
        elif isinstance(field, fields.Nested) and isinstance(value, Mapping):
            result[name] = _with_unknown_names(field.schema, result[name], value)
    return result


class PatchSchema(RequestSchema):
    """A merge patch: for the OpenAPI document. It is validated after it was applied, so `load` takes it as it is."""

    def load(self, data: Any, **_options: Any) -> Any:  # noqa: ANN401  # marshmallow's own signature
        """Return the patch."""
        return data


def _patch_of(schema: type[Schema]) -> type[PatchSchema]:
    """The schema of the merge patches of a schema's documents.

    No field is required. Each may be null, except where the document needs it: there null is refused.
    """
    name = schema.__name__.removesuffix("Schema")
    members = {name: _optional(field) for name, field in schema().fields.items() if not field.dump_only}
    return type(f"{name}PatchSchema", (PatchSchema,), {**members, "__doc__": f"A merge patch of {name}."})


def _optional(field: fields.Field[Any]) -> fields.Field[Any]:
    if isinstance(field, fields.Nested):
        return fields.Nested(_patch_of(type(field.schema)), allow_none=not field.required, metadata=field.metadata)
    copied = copy.copy(field)
    copied.required, copied.allow_none, copied.load_default = False, not field.required, missing
    if isinstance(copied, fields.Dict):
        copied.value_field = fields.String(allow_none=True, metadata={"maxLength": VALUE_CHARACTERS, "pattern": VALUE})
    return copied


SubscriptionPatchSchema = _patch_of(SubscriptionSchema)
"""The body of a PATCH."""
