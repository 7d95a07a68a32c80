"""Keeps or cuts the parts of a JSON value that paths name."""

from typing import Any, Final, TypeAlias

from webhookd.errors import ProjectionFailed
from webhookd.flow.authorization.json_values import Form, JsonValue
from webhookd.flow.authorization.projection_paths import PathTree

_Part: TypeAlias = Any
"""A value in one of the forms of json_values."""

_NOTHING: Final = object()
"""The result where no path can name anything; it is no JSON value."""


def keep(tree: PathTree, value: JsonValue) -> bytes:
    """The parts that the paths name; raises ProjectionFailed if they can name nothing in a value of this type."""
    kept = _kept(tree, value.form, value.root)
    return nothing_of(value) if kept is _NOTHING else value.form.written(kept)


def cut(tree: PathTree, value: JsonValue) -> bytes:
    """The value without the parts that the paths name; raises ProjectionFailed if a path goes through another type."""
    return value.form.written(_remaining(tree, value.form, value.root))


def nothing_of(value: JsonValue) -> bytes:
    """An object without its members, or null. Raises ProjectionFailed for another value."""
    if value.form.is_null(value.root):
        return b"null"
    if value.form.members(value.root) is None:
        raise ProjectionFailed("the value has another type than the paths have")
    return b"{}"


def _kept(tree: PathTree, form: Form, value: _Part) -> _Part:
    if tree.whole:
        return value
    found = form.members(value) if tree.members else None
    if found is not None:
        below = tree.members
        kept = {name: _kept(below[name], form, part) for name, part in found.items() if name in below}
        return form.object_of({name: part for name, part in kept.items() if part is not _NOTHING})
    listed = form.elements(value) if tree.elements is not None else None
    if listed is None or tree.elements is None:
        return _NOTHING
    parts = [_kept(tree.elements, form, part) for part in listed]
    return form.array_of([part for part in parts if part is not _NOTHING])


def _remaining(tree: PathTree, form: Form, value: _Part) -> _Part:
    found = form.members(value) if tree.members else None
    if found is not None:
        for name, below in tree.members.items():
            if name not in found:
                continue
            if below.whole:
                del found[name]
            else:
                found[name] = _remaining(below, form, found[name])
        return form.object_of(found)
    listed = form.elements(value) if tree.elements is not None else None
    if listed is not None and tree.elements is not None:
        below = tree.elements
        return form.array_of([] if below.whole else [_remaining(below, form, part) for part in listed])
    if form.is_null(value):
        return value
    raise ProjectionFailed("a value has another type than a path to exclude has")
