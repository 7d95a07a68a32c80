"""The caller of the current request, and transactions that see only its rows."""

from contextlib import AbstractContextManager

from flask import g, request
from sqlalchemy.orm import Session

from api.ports import Services
from webhookd.flow.access.caller import Caller, Role


def current_caller() -> Caller:
    """Return who makes the current request."""
    caller: Caller | None = g.get("caller")
    return caller or Caller(role=Role.ADMIN, address=request.remote_addr or "")


def transaction(services: Services) -> AbstractContextManager[Session]:
    """Open a transaction that sees the rows of the current caller's tenant; Database.transaction has the errors."""
    return services.database.transaction(current_caller().scope)
