"""The caller of the current request, and transactions that see only its rows."""

from contextlib import AbstractContextManager

from flask import g
from sqlalchemy.orm import Session

from api.ports import Services
from webhookd.errors import Unauthenticated
from webhookd.flow.access.caller import Caller


def current_caller() -> Caller:
    """Return who makes the current request; authentication.py has set it.

    Raises Unauthenticated on a route that is open to everybody: nobody is known there.
    """
    caller: Caller | None = g.get("caller")
    if caller is None:
        raise Unauthenticated
    return caller


def set_caller(caller: Caller) -> None:
    """Note who makes the current request."""
    g.caller = caller


def transaction(services: Services) -> AbstractContextManager[Session]:
    """Open a transaction that sees the rows of the current caller's tenant; Database.transaction has the errors."""
    return services.database.transaction(current_caller().scope)
