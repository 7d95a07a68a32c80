"""Where the parts of the play listen: the usual ports, or free ones where something else listens."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.dev_stack import COMMANDS
from stack.errors import NotStarted
from stack.free_ports import is_free, usual_or_free
from stack.procfile import API_BIND, DEFAULTS, FLOWER_PORT

RECEIVER_PORT = 9000
"""The default of `webhookd receive`."""

TIME_SCALE = "0.05"
"""Retries after 0.25, 0.5, 1, 2 and 4 s instead of 5 to 80 s: no attempt is left after 8 s, and a mail comes."""

LONGEST_WAIT_S = 45
"""Then the endpoint is tried after 1.5 s, 3, 6 and so on up to this, instead of 30 s to 15 minutes; all are ±20 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Addresses of what people use in another terminal or a browser."""

    api_bind: str
    flower_port: int
    receiver_port: int
    environment_file: Path

    @property
    def api_url(self) -> str:
        """The URL of the management API."""
        return f"http://{self.api_bind}"

    @property
    def endpoint_url(self) -> str:
        """The URL that gets the orders."""
        return f"http://127.0.0.1:{self.receiver_port}/hook"

    @property
    def receiver_url(self) -> str:
        """The URL that changes and shows what the endpoint answers."""
        return f"http://127.0.0.1:{self.receiver_port}/receiver"


def choose(environment_file: Path, given: Mapping[str, str], say: Callable[[str], None]) -> Places:
    """Choose the ports: those that the environment names, or the usual ones, or free ones.

    Raises NotStarted when one that the environment names is taken or is no port.
    """

    def port(name: str, what: str, usual: int) -> int:
        if name in given:
            return _free(name, given[name])
        chosen = usual_or_free(usual)
        if chosen != usual:
            say(f"port {usual} is taken, so {what} gets {chosen}")
        return chosen

    return Places(
        api_bind=_bind(given["WEBHOOKD_API_BIND"])
        if "WEBHOOKD_API_BIND" in given
        else f"127.0.0.1:{port('', 'the API', int(API_BIND.rpartition(':')[2]))}",
        flower_port=port("FLOWER_PORT", "Flower", FLOWER_PORT),
        receiver_port=port("RECEIVER_PORT", "the endpoint", RECEIVER_PORT),
        environment_file=environment_file,
    )


def _bind(bind: str) -> str:
    _free("WEBHOOKD_API_BIND", bind.rpartition(":")[2])
    return bind


def _free(name: str, text: str) -> int:
    """The port in a setting's text. Raises NotStarted unless something can listen there."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise NotStarted(f"{name} names no port: {text or 'empty'}")
    if not is_free(int(text)):
        raise NotStarted(f"port {text} is taken: choose another {name}, or none, and a free one is taken")
    return int(text)


def environment(places: Places, services: Mapping[str, str], mailbox_port: int) -> dict[str, str]:
    """The environment of all processes. What it names replaces the user's, whose other settings apply."""
    return {
        **DEFAULTS,
        "WEBHOOKD_LOG_LEVEL": "error",  # the receiver's lines show each attempt
        "WEBHOOKD_RETRY_TIME_SCALE": TIME_SCALE,
        "WEBHOOKD_STOP_BUDGET_S": "3",  # the endpoint is here, and what it has not acknowledged is deleted anyway
        **os.environ,
        "PATH": f"{COMMANDS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **services,
        "WEBHOOKD_API_AUTH": "none",  # the commands that it prints have no key
        "WEBHOOKD_API_BIND": places.api_bind,
        "FLOWER_PORT": str(places.flower_port),
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(mailbox_port),
        "WEBHOOKD_SMTP_SECURITY": "none",
        "WEBHOOKD_SMTP_USER": "",
        "WEBHOOKD_MAIL_FROM": "webhookd@example.com",
    }
