"""Finds out who makes a request, before anything else is done with it.

    Authorization: Bearer whd_…          RFC 6750

Each request asks the database once, by the key's public part. Nothing is kept between requests, so a revoked key stops
working at once in every process. While the database is down, the answer is 503: no key is accepted unchecked.
"""

from concurrent.futures import Future
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, current_app, request

from api.extensions.authorization import ADMINS, access_to, check_role
from api.extensions.bounded_calls import BoundedCalls
from api.extensions.callers import set_caller
from api.extensions.last_use import LastUse
from api.ports import services_of
from webhookd import clock
from webhookd.clock import WallClock
from webhookd.errors import Unauthenticated
from webhookd.flow.access.api_key import KeyState, Token, is_secret_of, parse
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import api_keys
from webhookd.store.database import Database

AUTHENTICATOR: Final = "webhookd-authenticator"
"""The key of the authenticator in a Flask application's `extensions`."""

REALM: Final = 'Bearer realm="webhookd"'

WITHOUT_KEY: Final = "send an API key: Authorization: Bearer whd_…"
NO_KEY_OF_OURS: Final = "the API key is not known"

OPEN_NAME: Final = "anybody"
"""The name of every caller while WEBHOOKD_API_AUTH is none."""

ASKED_AT_ONCE: Final = 4
"""How many callers of open routes are looked up at the same time; the others count as nobody."""


class Authenticator:
    """Turns the header of a request into its caller."""

    def __init__(self, database: Database, last_use: LastUse, wall_clock: WallClock, *, checked: bool) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._calls = BoundedCalls(ASKED_AT_ONCE)
        self.last_use = last_use
        self.checked = checked
        """Whether keys are needed; if not, everybody is an admin."""

    def caller(self, header: str | None, address: str) -> Caller:
        """Return who sent this Authorization header. Raises Unauthenticated, and StoreUnavailable."""
        if not self.checked:
            return Caller(role=Role.ADMIN, name=OPEN_NAME, address=address)
        return self._caller(_token(header), address)

    def begin(self, header: str | None, address: str) -> Future[Caller]:
        """Do the same on another thread, for a route that must answer even when the database does not."""
        if self.checked and header is None:
            nobody: Future[Caller] = Future()
            nobody.set_exception(Unauthenticated(WITHOUT_KEY))
            return nobody
        return self._calls.start(lambda: self.caller(header, address))

    def _caller(self, token: Token, address: str) -> Caller:
        with self._database.transaction() as session:
            key = api_keys.known(session, token.public)
        if not is_secret_of(token, key) or key is None:
            raise Unauthenticated(NO_KEY_OF_OURS)
        if (state := key.state(self._wall_clock())) is not KeyState.ACTIVE:
            raise Unauthenticated(f"the API key {'was revoked' if state is KeyState.REVOKED else 'has expired'}")
        self.last_use.note(key.id)
        return key.caller(address)


def register(app: Flask) -> None:
    """Authenticate every request of this application."""
    services = services_of(app)
    app.extensions[AUTHENTICATOR] = Authenticator(
        services.database,
        LastUse(services.database, clock.monotonic, clock.wall_clock),
        clock.wall_clock,
        checked=services.settings.api_auth == "keys",
    )
    app.before_request(_authenticate)
    app.after_request(_challenge)


def authenticator_of(app: Flask) -> Authenticator:
    """The authenticator of this application."""
    authenticator: Authenticator = app.extensions[AUTHENTICATOR]
    return authenticator


def token_sent() -> Token | None:
    """The API key of the request being handled; None for what cannot be one, which is refused without a query."""
    try:
        return _token(request.headers.get("Authorization"))
    except Unauthenticated:
        return None


def _authenticate() -> None:
    if request.url_rule is None:
        return  # 404 and 405 need no key
    access = access_to(current_app, request.url_rule.endpoint, request.method) or ADMINS
    if access.open:
        return
    caller = authenticator_of(current_app).caller(request.headers.get("Authorization"), request.remote_addr or "")
    set_caller(caller)
    check_role(caller, access)


def _challenge(response: Response) -> Response:
    """Say what is missing (RFC 6750, section 3): with a key that is not valid, that it is not."""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        sent = request.headers.get("Authorization", "").lower().startswith("bearer ")
        response.headers["WWW-Authenticate"] = f'{REALM}, error="invalid_token"' if sent else REALM
    return response


def _token(header: str | None) -> Token:
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(WITHOUT_KEY)
    token = parse(text.strip())
    if token is None:
        raise Unauthenticated(NO_KEY_OF_OURS)
    return token
