"""Refuses query parameters that a route does not have, on every route: a misspelt `older_than` must not delete all.

`StrictBlueprint` notes the parameters of each method; a route that declares none has none.
"""

from collections.abc import Sequence
from typing import Final

from flask import current_app, request

from api.extensions.error_responses import InvalidDocument
from api.extensions.problem import FieldError, Place
from api.extensions.request_schema import unknown_name

PARAMETERS: Final = "query_parameters"
"""The attribute of a view function that holds the names."""


def check_query() -> None:
    """Raise InvalidDocument for an unknown parameter, and for one that is given twice; called before each request."""
    if request.url_rule is None or request.method == "OPTIONS":
        return
    known = _declared(request.url_rule.endpoint, request.method)
    wrong = [
        FieldError(name, reason, Place.QUERY)
        for name, values in request.args.lists()
        if (reason := _reason(name, len(values), known))
    ]
    if wrong:
        raise InvalidDocument(wrong)


def _reason(name: str, times: int, known: Sequence[str]) -> str:
    if name not in known:
        return unknown_name(name, dict(zip(known, known, strict=True)), "parameter of this path")
    return f"is given {times} times: write it once" if times > 1 else ""


def _declared(endpoint: str, method: str) -> Sequence[str]:
    view = current_app.view_functions[endpoint]
    methods = getattr(view, "view_class", None)
    handler = getattr(methods, {"HEAD": "get"}.get(method, method.lower()), view)
    names: Sequence[str] = getattr(handler, PARAMETERS, ())
    return names
