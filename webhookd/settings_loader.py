"""Loads the settings of a process, and finds everything in them that cannot be used, in one go.

names           variables that begin with `WEBHOOKD_` and are no settings
values          the type, the form and the bounds of each setting
contradictions  two settings that exclude each other
checks          what the parts of the process say about their settings: certificates, networks, mail server

Nothing is connected to.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from webhookd.configuration.environment import unknown_names, variable
from webhookd.configuration.refusals import read_without_refused
from webhookd.errors import UnusableSetting, UnusableSettings
from webhookd.settings import Settings

Change = Callable[[Settings], Settings]
"""Returns the settings with what a command's options set."""

Check = Callable[[Settings], object]
"""Raises UnusableSetting when a part of webhookd could not work with the settings."""

HEARTBEATS = 3
"""How many heartbeats an ingest process may miss at least before it counts as ended."""


def load_settings(checks: Sequence[Check] = (), change: Change | None = None, **values: Any) -> Settings:  # noqa: ANN401  # values of any setting
    """Return the settings of the environment, of which `values` replace some, and `change` others.

    Raises UnusableSettings with one line for each setting that cannot be used.
    """
    problems = list(unknown_names(os.environ, Settings.model_fields))
    settings, refused = read_without_refused(Settings, values)
    problems += refused
    settings = change(settings) if change else settings
    refused_names = {problem.variable for problem in refused}
    problems += [
        problem
        for problem in _problems(settings, checks)
        # A line that names a refused setting as well may be about the default in its place.
        if not any(name in str(problem) for name in refused_names)
    ]
    if problems:
        raise UnusableSettings(problems)
    return settings


def _problems(settings: Settings, checks: Sequence[Check]) -> Iterator[UnusableSetting]:
    yield from _contradictions(settings)
    unreadable = list(_unreadable_files(settings))
    yield from unreadable
    named = {problem.setting for problem in unreadable}
    for check in checks:
        try:
            check(settings)
        except UnusableSetting as error:
            if error.setting not in named:
                yield error


def _contradictions(settings: Settings) -> Iterator[UnusableSetting]:
    sizes = ("delivery_bytes", "lane_buffer_bytes", "process_buffer_bytes")
    for small, large in pairwise(sizes):
        if getattr(settings, small) > (limit := getattr(settings, large)):
            yield UnusableSetting(f"must not be more than {variable(large)}, which is {limit}", setting=small)
    heartbeat_s = settings.control_read_interval_s
    if settings.ingest_member_timeout_s < HEARTBEATS * heartbeat_s:
        yield UnusableSetting(
            f"must be at least {HEARTBEATS} times {variable('control_read_interval_s')}, which is {heartbeat_s:g}: an "
            "ingest process writes its heartbeat at that interval",
            setting="ingest_member_timeout_s",
        )
    if settings.smtp_ca_file is not None and settings.smtp_security == "none":
        yield UnusableSetting(
            f"is not used while {variable('smtp_security')} is none: set that to starttls or tls",
            setting="smtp_ca_file",
        )
    if settings.secret_keys_file is not None and settings.secret_keys.get_secret_value():
        yield UnusableSetting(
            f"is set, and {variable('secret_keys')} too: keep all keys in one of them", setting="secret_keys_file"
        )
    if settings.smtp_password.get_secret_value() and not settings.smtp_user:
        yield UnusableSetting(f"needs {variable('smtp_user')}, the login that it belongs to", setting="smtp_password")


def _unreadable_files(settings: Settings) -> Iterator[UnusableSetting]:
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, Path) and (reason := _reason(value)):
            yield UnusableSetting(f"{value}: {reason}", setting=name)


def _reason(file: Path) -> str:
    """Return why the file cannot be read; empty when it can."""
    try:
        with file.open("rb"):
            return ""
    except OSError as error:
        return error.strerror or str(error)
