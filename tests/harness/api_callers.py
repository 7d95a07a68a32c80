"""An API with keys, and callers of every kind: what tests of authentication and of tenants send requests as."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webhookd import clock
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import api_keys, key_changes
from webhookd.store.database import Database
from webhookd.store.key_changes import MadeKey, NewKey

OPERATOR = Caller(role=Role.ADMIN, name="test")
TENANT = "acme"
OTHER_TENANT = "beta"
DAY_S = 86_400.0


class As(StrEnum):
    """Who makes a request."""

    ADMIN = "admin"
    CLIENT = "client"
    VIEWER = "viewer"
    OTHER = "client of another tenant"
    EXPIRED = "expired key"
    REVOKED = "revoked key"
    UNKNOWN = "unknown key"
    WRONG = "wrong secret"
    RUBBISH = "rubbish"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Callers:
    """Sends requests as each of them."""

    client: FlaskClient
    keys: Mapping[As, str]

    def headers(self, who: As) -> dict[str, str]:
        """The header that says who it is."""
        return {} if who is As.NOBODY else {"Authorization": f"Bearer {self.keys[who]}"}

    def ask(self, who: As, method: str, path: str, body: object = None) -> TestResponse:
        """One request."""
        return self.client.open(path, method=method, json=body, headers=self.headers(who))


def callers(client: FlaskClient, database: Database) -> Callers:
    """Make a key for each caller; that of the admin is not the only one, so that it can be revoked."""
    admin = NewKey(name="operations", role=Role.ADMIN)
    acme = NewKey(name="acme", role=Role.CLIENT, tenant=TENANT)
    wanted = {
        As.ADMIN: admin,
        As.CLIENT: acme,
        As.VIEWER: replace(acme, role=Role.VIEWER),
        As.OTHER: replace(acme, tenant=OTHER_TENANT),
        As.EXPIRED: replace(admin, expires_at=clock.wall_clock() - DAY_S),
        As.REVOKED: admin,
        As.WRONG: admin,
    }
    made = {who: made_key(database, new) for who, new in wanted.items()}
    with database.transaction() as session:
        key_changes.revoke(session, OPERATOR, made[As.REVOKED].key.id, now=clock.wall_clock())
    keys = {who: one.token.text for who, one in made.items()}
    keys[As.WRONG] = keys[As.WRONG][:-1] + ("0" if keys[As.WRONG][-1] != "0" else "1")
    keys[As.UNKNOWN] = keys[As.ADMIN].replace(made[As.ADMIN].key.id, "f" * 20)
    keys[As.RUBBISH] = "whd_rubbish"
    return Callers(client, keys)


def made_key(database: Database, wanted: NewKey) -> MadeKey:
    """Make a key in the database."""
    with database.transaction() as session:
        return key_changes.create(session, OPERATOR, wanted, clock.wall_clock())


def last_use(database: Database, id_: str) -> float | None:
    """When a key was last used, as the database has it."""
    with database.transaction() as session:
        found = api_keys.known(session, id_)
    return found.last_used_at if found is not None else None
