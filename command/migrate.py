"""`webhookd migrate`: upgrades the database's schema."""

import click

from command.loading import load_settings
from webhookd import logs
from webhookd.configuration.environment import variable
from webhookd.errors import StoreUnavailable
from webhookd.store.migrating import upgrade


@click.command()
def migrate() -> None:
    """Upgrade the database's schema to the current version.

    It says from which revision to which, and does nothing when the schema is current. It exits with 1 when the database
    cannot be reached, or belongs to a newer version of webhookd.
    """
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    try:
        migrated = upgrade(settings.database_url)
    except StoreUnavailable as error:
        setting = variable("database_url")
        raise click.ClickException(f"the database in {setting} cannot be migrated: {error.detail}") from None
    click.echo(str(migrated))
