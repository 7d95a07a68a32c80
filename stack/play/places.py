"""Where the parts of the play listen: the usual ports, or free ones where something else listens."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.dev_stack import COMMANDS
from stack.free_ports import usual_or_free
from stack.procfile import API_BIND, DEFAULTS, FLOWER_PORT, refuse_taken_ports

RECEIVER_PORT = 9000
"""The default of `webhookd receive`."""

TIME_SCALE = "0.05"
"""Retries after 0.25, 0.5, 1, 2 and 4 s instead of 5 to 80 s: no attempt is left after 8 s, and a mail comes."""


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
    """Choose the ports. Raises NotStarted when one that the environment names is taken."""
    refuse_taken_ports({"WEBHOOKD_API_BIND": "127.0.0.1:0", "FLOWER_PORT": "0", **given}, "play")

    def port(what: str, usual: int) -> int:
        chosen = usual_or_free(usual)
        if chosen != usual:
            say(f"port {usual} is taken, so {what} gets {chosen}")
        return chosen

    return Places(
        api_bind=given.get("WEBHOOKD_API_BIND") or f"127.0.0.1:{port('the API', int(API_BIND.rpartition(':')[2]))}",
        flower_port=int(given.get("FLOWER_PORT") or port("Flower", FLOWER_PORT)),
        receiver_port=port("the receiver", RECEIVER_PORT),
        environment_file=environment_file,
    )


def environment(places: Places, services: Mapping[str, str], mailbox_port: int) -> dict[str, str]:
    """The environment of all processes. What it names replaces the user's, whose other settings apply."""
    return {
        **DEFAULTS,
        "WEBHOOKD_LOG_LEVEL": "error",  # the receiver's lines show each attempt
        "WEBHOOKD_RETRY_TIME_SCALE": TIME_SCALE,
        **os.environ,
        "PATH": f"{COMMANDS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **services,
        "WEBHOOKD_API_BIND": places.api_bind,
        "FLOWER_PORT": str(places.flower_port),
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(mailbox_port),
        "WEBHOOKD_SMTP_SECURITY": "none",
        "WEBHOOKD_SMTP_USER": "",
        "WEBHOOKD_MAIL_FROM": "webhookd@example.com",
    }
