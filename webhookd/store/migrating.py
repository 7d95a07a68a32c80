"""Bringing a database to the current tables; safe to run again and from several processes one after the other."""

from alembic import command
from alembic.config import Config

LOCATION = "migrations:"
"""Alembic's way to say: the folder of that package, wherever it is installed."""


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration that is missing."""
    command.upgrade(_config(url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Undo migrations down to a revision; what the removed tables held is lost."""
    command.downgrade(_config(url), revision)


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", LOCATION)
    config.set_main_option("path_separator", "os")
    # Not an option: its reader would take a percent sign in a password for an interpolation.
    config.attributes["url"] = url
    return config
