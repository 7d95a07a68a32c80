"""Starts webhookd's commands as processes, with all settings in their environment."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.child import Child, spawn
from webhookd.store.secret_keys import generate

STOP_TIMEOUT_S = 45.0
"""Longer than WEBHOOKD_STOP_BUDGET_S and the 15 s that a supervisor should wait beyond it."""


def environment(*, kafka: str, redis_url: str, database_url: str, api_bind: str) -> dict[str, str]:
    """The environment of processes that use these services: this process' own, but for the settings of webhookd.

    The API asks for no key, secrets have a new key, and endpoints may be on 127.0.0.0/8. `kafka` has the brokers'
    addresses, `api_bind` the host and port at which the API listens.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
    return {
        **inherited,
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "WEBHOOKD_REDIS_URL": redis_url,
        "WEBHOOKD_DATABASE_URL": database_url,
        "WEBHOOKD_API_AUTH": "none",
        "WEBHOOKD_API_BIND": api_bind,
        "WEBHOOKD_SECRET_KEYS": generate(),
        "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
    }


def start(arguments: Sequence[str], *, log_file: Path, environment: Mapping[str, str]) -> Child:
    """Start `webhookd` with these arguments; it appends its output to the log. It gets SIGTERM when this one dies."""
    command = [sys.executable, "-m", "command.main", *arguments]
    return spawn(command, log_file=log_file, environment=environment, parent_death_signal=signal.SIGTERM)
