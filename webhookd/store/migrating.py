"""Upgrades the tables of a database. It is safe to run it again, and from several processes one after the other."""

from alembic import command
from alembic.config import Config

LOCATION = "migrations:"
"""The folder of the package `migrations`, in Alembic's notation."""


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration that is missing."""
    command.upgrade(_config(url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Undo migrations down to a revision; the data in the removed tables is lost."""
    command.downgrade(_config(url), revision)


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", LOCATION)
    config.set_main_option("path_separator", "os")
    # The URL is not set as an option, where a percent sign in a password would mean an interpolation.
    config.attributes["url"] = url
    return config
