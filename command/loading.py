"""Loads the settings of every command, with the checks of all parts of webhookd."""

from collections.abc import Mapping
from typing import Any

from webhookd.configuration.environment import variable
from webhookd.edges.http_client.event_loop import SETTING_CHECKS
from webhookd.edges.kafka_connection_check import checked_connection, first_mentioned
from webhookd.edges.mailer import build_mailer
from webhookd.edges.redis_settings import checked_address
from webhookd.edges.tracing import check_tracing
from webhookd.errors import UnusableSetting, UnusableSettings
from webhookd.flow.access.loopback import is_loopback
from webhookd.settings import Settings
from webhookd.settings_loader import Change
from webhookd.settings_loader import load_settings as _load_settings
from webhookd.store import database_url
from webhookd.store.secret_keys import secret_keys_of


def load_settings(
    options: Mapping[str, str] | None = None,
    change: Change | None = None,
    **values: Any,  # noqa: ANN401  # of any setting
) -> Settings:
    """Return the settings of the environment, of which `values` replace some, and `change` others.

    `options` has the command's option for each setting whose value came from one; for a Kafka property, its key is
    `kafka_config.` and the property's name, since others may come from the environment. Raises UnusableSettings; the
    group of all commands turns it into lines on stderr and exit code 2.
    """
    try:
        return _load_settings(CHECKS, change, **values)
    except UnusableSettings as error:
        raise UnusableSettings([_named(problem, options or {}) for problem in error.problems]) from None


def _named(problem: UnusableSetting, options: Mapping[str, str]) -> UnusableSetting:
    prefix = f"{problem.setting}."
    properties = [key.removeprefix(prefix) for key in options if key.startswith(prefix)]
    named = first_mentioned(problem.reason, properties)
    option = options.get(f"{prefix}{named}" if named else problem.setting)
    return UnusableSetting(problem.reason, setting=problem.setting, variable=option) if option else problem


def _check_database(settings: Settings) -> None:
    database_url.parse(settings.database_url)


def _check_open_api(settings: Settings) -> None:
    host = settings.api_bind.rpartition(":")[0].strip("[]")
    if settings.api_auth == "none" and not is_loopback(host):
        raise UnusableSetting(
            f"is none, which makes everybody an admin, and {variable('api_bind')} is {settings.api_bind}: without keys "
            "the API may listen on loopback only, such as 127.0.0.1:8080",
            setting="api_auth",
        )


CHECKS = (
    *SETTING_CHECKS,
    build_mailer,
    checked_connection,
    checked_address,
    check_tracing,
    secret_keys_of,
    _check_database,
    _check_open_api,
)
"""What the parts of webhookd say about their settings; none of them connects to anything or starts anything."""
