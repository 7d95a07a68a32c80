"""`webhookd migrate`: migrates the database's schema."""

import click

from command.loading import load_settings
from command.stored_secrets import encrypt_after_migration
from webhookd import logs
from webhookd.configuration.environment import variable
from webhookd.errors import InvalidInput, SecretsUnreadable, StoreUnavailable
from webhookd.store import migrating
from webhookd.store.schema import REVISION, REVISIONS
from webhookd.store.secret_keys import secret_keys_of


@click.command()
@click.option(
    "--to",
    "revision",
    type=click.Choice(REVISIONS),
    default=REVISION,
    show_default=True,
    help="The revision to migrate to, forwards or backwards.",
)
@click.option("--delete-data", is_flag=True, help="Allow to go back, which deletes what later revisions have added.")
@click.option(
    "--lock-timeout",
    "lock_timeout_s",
    type=click.FloatRange(0.1, 3600),
    default=migrating.LOCK_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait on Postgres for each table that another transaction uses.",
)
def migrate(*, revision: str, delete_data: bool, lock_timeout_s: float) -> None:
    """Migrate the database's schema, by default to the current version.

    It says from which revision to which, and does nothing when the schema is there already. It is one transaction: all
    of it happens, or nothing. It exits with 1 when the database cannot be reached, belongs to a newer version of
    webhookd, or is in use: a table is locked for longer than --lock-timeout.

    Then it encrypts the secrets that an earlier version has stored, if there is a key: see `webhookd secrets rotate`.
    """
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level, modules=settings.log_levels)
    keys = secret_keys_of(settings)
    try:
        migrated = migrating.migrate(
            settings.database_url,
            revision,
            delete_data=delete_data,
            lock_timeout_s=lock_timeout_s,
            secret_keys=keys,
        )
        click.echo(str(migrated))
        said = encrypt_after_migration(settings.database_url, keys) if revision == REVISION else ""
    except (InvalidInput, SecretsUnreadable) as error:
        raise click.ClickException(str(error)) from None
    except StoreUnavailable as error:
        setting = variable("database_url")
        raise click.ClickException(f"the database in {setting} cannot be migrated: {error.detail}") from None
    if said:
        click.echo(said, err=not keys)
