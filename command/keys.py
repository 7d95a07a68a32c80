"""`webhookd keys`: makes, lists, rotates and revokes API keys in the database, also when no API runs.

A new key alone is on stdout, so that `KEY=$(webhookd keys create --role admin)` works; all else is on stderr.
"""

import getpass
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from command.help_text import HelpGroup
from command.loading import load_settings
from webhookd import clock, logs
from webhookd.configuration.environment import variable
from webhookd.errors import StoreUnavailable, WebhookdError
from webhookd.flow.access.api_key import (
    LIFETIME_LEAST_S,
    LIFETIME_MOST_S,
    NAME_MOST,
    OVERLAP_MOST_S,
    OVERLAP_S,
    ApiKey,
)
from webhookd.flow.access.caller import Caller, Role
from webhookd.flow.access.tenant_name import FORM, is_tenant_name
from webhookd.store import api_keys, key_changes, schema
from webhookd.store.database import Database
from webhookd.store.key_changes import MadeKey, NewKey

Result = TypeVar("Result")

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PAGE = 500

COLUMNS = ("id", "name", "role", "tenant", "state", "created", "expires", "last used")

EXAMPLES = (
    ("The first admin", "KEY=$(webhookd keys create --role admin --name operations)"),
    ("A customer", "webhookd keys create --role client --tenant acme --name 'acme, production' --expires-in 365d"),
)


class Duration(click.ParamType[float]):
    """A time as a number and a unit: `90s`, `30m`, `12h`, `365d`; seconds without a unit."""

    name = "duration"

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s, self._most_s = least_s, most_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's own
        """Return the seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,10})([smhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no time: write it like 90s, 30m, 12h or 365d", param, ctx)
        seconds = int(found[1]) * UNITS[found[2] or "s"]
        if not self._least_s <= seconds <= self._most_s:
            self.fail(f"{value!r} is not from {self._least_s:g} s to {self._most_s / UNITS['d']:g} d", param, ctx)
        return seconds


expires_in = click.option(
    "--expires-in",
    type=Duration(LIFETIME_LEAST_S, LIFETIME_MOST_S),
    metavar="TIME",
    help="When the new key expires, from now: 90s, 30m, 12h or 365d.",
)


@click.group(cls=HelpGroup, examples=EXAMPLES)
def keys() -> None:
    """Make, list, rotate and revoke API keys, in the database.

    It needs the database alone, not the API: this is how the first admin key is made. It exits with 1 when the database
    cannot be reached, and when there is no such key.
    """


@keys.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What the key may do.")
@click.option("--name", help="Who uses it, for people; the name of the role if not given.")
@click.option("--tenant", help="Whose subscriptions it may see; needed for client and viewer.")
@expires_in
def create(role: str, name: str | None, tenant: str | None, expires_in: float | None) -> None:
    """Make an API key and print it. It is stored nowhere: nothing can print it again.

    Without --expires-in it does not expire.
    """
    _check(role, name, tenant)
    now = clock.wall_clock()
    wanted = NewKey(
        name=name or role, role=Role(role), tenant=tenant, expires_at=None if expires_in is None else now + expires_in
    )
    made = _change(lambda session: key_changes.create(session, _caller(), wanted, now))
    _print(made, f"made the {role} key {made.key.id}{f' for tenant {tenant}' if tenant else ''}")


@keys.command("list")
def list_() -> None:
    """List all API keys, without their secret parts, also those that are expired or revoked."""
    now = clock.wall_clock()
    rows = [COLUMNS, *(_row(key, now) for key in _change(_all))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--overlap",
    type=Duration(0.0, OVERLAP_MOST_S),
    default=round(OVERLAP_S),
    metavar="TIME",
    help="How long the old key stays valid: 0s, 30m, 12h or 2d; 24 hours if not given.",
)
@expires_in
def rotate(id_: str, overlap: float, expires_in: float | None) -> None:
    """Make a new key in place of the key ID, and print it; the old one expires after the overlap.

    ID is the public part, which the list shows. The new key has the same name, role and tenant, and without
    --expires-in it lives as long as the old one was to live.
    """
    now = clock.wall_clock()
    expires_at = None if expires_in is None else now + expires_in
    made = _change(
        lambda session: key_changes.rotate(session, _caller(), id_, overlap_s=overlap, expires_at=expires_at, now=now)
    )
    _print(made, f"made {made.key.id} in place of {id_}, which works for another {overlap:g} s at most")


@keys.command()
@click.argument("id_", metavar="ID")
def revoke(id_: str) -> None:
    """Revoke the key ID: it stops working at once.

    ID is the public part, which the list shows. A key that is revoked already stays as it is. This is the only way to
    revoke the last admin key.
    """
    now = clock.wall_clock()
    _change(lambda session: key_changes.revoke(session, _caller(), id_, now=now, even_the_last=True))
    click.echo(f"revoked {id_}", err=True)
    if not _change(lambda session: api_keys.usable_admin_keys(session, now)):
        click.echo("no admin key is left; make one: webhookd keys create --role admin", err=True)


def _check(role: str, name: str | None, tenant: str | None) -> None:
    if role == Role.ADMIN and tenant is not None:
        raise click.UsageError("an admin has no tenant: leave --tenant out")
    if role != Role.ADMIN and tenant is None:
        raise click.UsageError(f"a {role} belongs to a tenant: add --tenant")
    if tenant is not None and not is_tenant_name(tenant):
        raise click.UsageError(f"--tenant has {FORM}")
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= NAME_MOST):
        raise click.UsageError(f"--name is one line of 1 to {NAME_MOST} characters")


def _change(act: Callable[[Session], Result]) -> Result:
    """Do it in one transaction; an error is one line, and exit code 1."""
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level, modules=settings.log_levels)
    with _database(settings.database_url) as database:
        try:
            schema.confirm(database)
            with database.transaction() as session:
                return act(session)
        except StoreUnavailable as error:
            setting = variable("database_url")
            raise click.ClickException(f"the database in {setting} cannot be used: {error.detail}") from None
        except WebhookdError as error:
            raise click.ClickException(str(error)) from None


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _caller() -> Caller:
    """The user of the command line; a container may have no name for it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Caller(role=Role.ADMIN, name=f"command line: {user}")


def _all(session: Session) -> list[ApiKey]:
    found: list[ApiKey] = []
    while page := api_keys.page(session, after=found[-1].id if found else "", limit=PAGE):
        found += page
    return sorted(found, key=lambda key: key.created_at)


def _row(key: ApiKey, now: float) -> tuple[str, ...]:
    times = (key.created_at, key.expires_at, key.last_used_at)
    return (key.id, key.name, key.role.value, key.tenant or "-", key.state(now).value, *map(_time, times))


def _time(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(made: MadeKey, said: str) -> None:
    click.echo(f"{said}; it is shown only this once", err=True)
    click.echo(made.token.text)
