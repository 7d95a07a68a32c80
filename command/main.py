"""The command `webhookd`: the group of all commands."""

from importlib import import_module

import click

from command.shutdown_signals import end_before_start, quiet_interrupt
from webhookd import __version__

MODULES = {
    "api": "command.service",
    "cluster": "command.cluster",
    "demo": "command.demo",
    "flower": "command.service",
    "ingest": "command.service",
    "migrate": "command.service",
    "receive": "command.receive",
    "run": "command.run",
    "settings": "command.service",
    "topic": "command.topic",
    "worker": "command.service",
}
"""The module that defines each command, by the command's name."""

SERVICES = {"api", "flower", "ingest", "receive", "run", "worker"}
"""The commands that run until a signal stops them. SIGTERM ends them with 0, and any other command with 143, because
what that one was told to do is not done."""


class Commands(click.Group):
    """Imports only the module of the command that is called, so that no command waits for the imports of others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name; None when there is none."""
        del ctx
        if cmd_name not in MODULES:
            return None
        if cmd_name in SERVICES:
            end_before_start()
        with quiet_interrupt():
            found: click.Command = getattr(import_module(MODULES[cmd_name]), cmd_name)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="webhookd")
def main() -> None:
    """Deliver Kafka topics to HTTP endpoints: at least once, in partition order.

    \b
    Try it:        webhookd demo                      needs nothing but Python
    One endpoint:  webhookd run --bootstrap-servers … --topic … --url …
    A service:     webhookd migrate, then api, ingest, worker --queue first, worker --queue retry, flower
    First steps:   webhookd topic create …, webhookd topic produce …, webhookd receive

    The service's processes read their settings from WEBHOOKD_… environment variables; `webhookd settings` lists them.
    """  # noqa: D301  # click's mark is the backspace character, not a backslash and a b


if __name__ == "__main__":
    main()
