"""Which roles may call each operation. Every method of every route declares it, or the application does not start.

    @requires(READERS)
    @blueprint.response(200, StatusSchema)
    def get(self, …)

HEAD is allowed to those who may GET. OPTIONS is open: it only lists the methods, and a browser asks without a key.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from werkzeug.routing import Rule

from webhookd.errors import Forbidden
from webhookd.flow.access.caller import Caller, Role

View = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may call an operation: the callers with one of the roles, or with `open` everybody, also without a key."""

    roles: frozenset[Role]
    open: bool = False


ADMINS: Final = Access(roles=frozenset({Role.ADMIN}))
"""The operators."""
WRITERS: Final = Access(roles=frozenset({Role.ADMIN, Role.CLIENT}))
"""Who changes what belongs to a tenant."""
READERS: Final = Access(roles=frozenset(Role))
"""Everybody who has a key."""
EVERYBODY: Final = Access(roles=frozenset(Role), open=True)
"""Those without a key as well; the route knows no caller."""

ATTRIBUTE: Final = "access"
"""The attribute of a view function that holds its Access."""

OPEN_ENDPOINTS: Final = frozenset({"api-docs.openapi_json", "problem_page"})
"""Endpoints without a declaration: the OpenAPI document, and the pages about errors."""


def requires(access: Access) -> Callable[[View], View]:
    """Declare who may call this method of a route."""

    def decorated(view: View) -> View:
        setattr(view, ATTRIBUTE, access)
        return view

    return decorated


def access_to(app: Flask, endpoint: str, method: str) -> Access | None:
    """Return who may call it; None when nothing is declared."""
    if method == "OPTIONS" or endpoint in OPEN_ENDPOINTS:
        return EVERYBODY
    view = app.view_functions[endpoint]
    methods = getattr(view, "view_class", None)
    handler = getattr(methods, {"HEAD": "get"}.get(method, method.lower()), view)
    access: Access | None = getattr(handler, ATTRIBUTE, None)
    return access


def operations(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every route of the application with each of its methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield rule, method


def check_declared(app: Flask) -> None:
    """Raise RuntimeError when a method of a route declares nothing: nobody decided who may call it."""
    missing = [f"{method} {rule}" for rule, method in operations(app) if access_to(app, rule.endpoint, method) is None]
    if missing:
        raise RuntimeError(f"without @requires: {', '.join(missing)}")


def check_role(caller: Caller, access: Access) -> None:
    """Raise Forbidden unless the caller has one of the roles."""
    if caller.role not in access.roles:
        wanted = " or ".join(sorted(role.value for role in access.roles))
        raise Forbidden(f"needs a key with the role {wanted}; this key has the role {caller.role.value}")
