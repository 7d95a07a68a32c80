"""`webhookd secrets`: makes keys that encrypt the secrets of subscriptions, and brings what is stored to the first key.

A new key alone is on stdout, so that `webhookd secrets generate-key > file` works.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import click
from sqlalchemy.orm import Session

from command.help_text import HelpGroup
from command.loading import load_settings
from webhookd import logs
from webhookd.configuration.environment import variable
from webhookd.errors import StoreUnavailable
from webhookd.store import schema, secret_rotation
from webhookd.store.database import Database
from webhookd.store.secret_keys import SecretKeys, generate, secret_keys_of
from webhookd.store.secret_rotation import Counted, State

EXAMPLES = (
    ("The first key", "webhookd secrets generate-key"),
    ("After a change of keys", "webhookd secrets rotate, then webhookd secrets check"),
)

NEED_ROTATION = (State.UNENCRYPTED, State.OTHER_KEY)


@dataclass(slots=True)
class Total:
    """How many subscriptions are in each state, and the ids of those that no key decrypts."""

    count: Counter[State] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


@click.group(cls=HelpGroup, examples=EXAMPLES)
def secrets() -> None:
    """Make keys for the secrets of subscriptions, and encrypt the stored ones again.

    The keys are in WEBHOOKD_SECRET_KEYS, or in the file that WEBHOOKD_SECRET_KEYS_FILE names.
    """


@secrets.command("generate-key")
def generate_key() -> None:
    """Print a new key. It is stored nowhere."""
    click.echo(generate())


@secrets.command()
def rotate() -> None:
    """Encrypt all stored secrets with the first key, also those that are not encrypted yet.

    It may run while all processes of webhookd run, if they have the same keys, and it may be repeated. It locks 100
    subscriptions at a time. It exits with 1 when the database cannot be reached, when there is no key, and when no key
    decrypts some secrets, whose subscriptions it names; then it has encrypted all others.
    """
    with _database() as (database, keys):
        if not keys:
            raise click.ClickException(f"there is no key: set {variable('secret_keys')}")
        total = rotate_all(database)
    click.echo(f"encrypted the secrets of {_rewritten(total)} with the first key")
    _exit_if_unreadable(total)


@secrets.command()
def check() -> None:
    """Count by which keys the stored secrets are encrypted, and name the subscriptions that no key decrypts.

    It exits with 0 when the first key decrypts everything, so that all other keys can be removed, and else with 1.
    """
    with _database() as (database, _):
        total = _pages(database, secret_rotation.count)
    for state in State:
        click.echo(f"{total.count[state]:>8}  {state}")
    _exit_if_unreadable(total)
    if any(total.count[state] for state in NEED_ROTATION):
        raise click.ClickException("the first key does not decrypt everything: webhookd secrets rotate")


def rotate_all(database: Database) -> Total:
    """Encrypt everything with the first key, in transactions of some rows; without a key nothing happens.

    Raises StoreUnavailable.
    """
    return _pages(database, secret_rotation.rotate)


def encrypt_after_migration(database_url: str, keys: SecretKeys) -> str:
    """Encrypt what an earlier version has stored, and return what was done or is left to do, for people; "" if nothing.

    Raises StoreUnavailable.
    """
    with closing(Database(database_url, secret_keys=keys)) as database:
        total = _pages(database, secret_rotation.rotate if keys else secret_rotation.count)
    if not total.count[State.UNENCRYPTED]:
        return ""
    if keys:
        return f"encrypted the secrets of {_rewritten(total)}"
    number = _subscriptions(total.count[State.UNENCRYPTED])
    return f"the secrets of {number} are not encrypted: set {variable('secret_keys')}, then: webhookd secrets rotate"


def _pages(database: Database, read: Callable[[Session, str], Counted]) -> Total:
    total, after = Total(), ""
    while True:
        with database.transaction() as session:
            page = read(session, after)
        if not page.states:
            return total
        after = page.last
        total.count.update(page.states.values())
        total.unreadable += [id_ for id_, state in page.states.items() if state is State.UNREADABLE]


def _rewritten(total: Total) -> str:
    return _subscriptions(sum(total.count[state] for state in NEED_ROTATION))


def _subscriptions(number: int) -> str:
    return "1 subscription" if number == 1 else f"{number} subscriptions"


def _exit_if_unreadable(total: Total) -> None:
    if total.unreadable:
        for id_ in total.unreadable:
            click.echo(f"no key decrypts the secrets of subscription {id_}", err=True)
        raise click.ClickException(
            f"{_subscriptions(len(total.unreadable))} cannot be decrypted: add the key that is missing, or save them "
            "again with their secrets"
        )


@contextmanager
def _database() -> Iterator[tuple[Database, SecretKeys]]:
    """The database with the keys of the settings; an outage is one line, and exit code 1."""
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level, modules=settings.log_levels)
    keys = secret_keys_of(settings)
    with closing(Database(settings.database_url, secret_keys=keys)) as database:
        try:
            schema.confirm(database)
            yield database, keys
        except StoreUnavailable as error:
            setting = variable("database_url")
            raise click.ClickException(f"the database in {setting} cannot be used: {error.detail}") from None
