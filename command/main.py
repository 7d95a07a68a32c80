"""The command `webhookd`: the group of all commands."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from command.help_text import HelpGroup, summary_in_source
from command.shutdown_signals import end_before_start, quiet_interrupt
from webhookd import __version__
from webhookd.errors import UnusableSetting

MODULES = {
    "api": "command.api",
    "cluster": "command.cluster",
    "completion": "command.completion",
    "demo": "command.demo",
    "egress": "command.egress",
    "flower": "command.flower",
    "ingest": "command.ingest",
    "keys": "command.keys",
    "migrate": "command.migrate",
    "receive": "command.receive",
    "run": "command.run",
    "secrets": "command.stored_secrets",
    "settings": "command.settings",
    "topic": "command.topic",
    "worker": "command.worker",
}
"""The module that defines each command, by the command's name."""

PACKAGES = Path(__file__).resolve().parents[1]

SERVICES = {"api", "flower", "ingest", "receive", "run", "worker"}
"""The commands that run until a signal stops them. SIGTERM ends them with 0, and any other command with 143, because
what that one was told to do is not done."""

EXAMPLES = (
    ("Try it", "webhookd demo (needs nothing but Python)"),
    ("One endpoint", "webhookd run --bootstrap-servers … --topic … --url …"),
    ("A service", "webhookd migrate, then api, ingest, worker --queue first, worker --queue retry, flower"),
    ("A key for its API", "webhookd keys create --role admin"),
    ("First steps", "webhookd topic create …, webhookd topic produce …, webhookd receive"),
)

UNUSABLE_SETTING = 2
"""The exit code of a command that cannot use its settings; click's own for options that it cannot use."""


class Commands(HelpGroup):
    """Imports only the module of the command that is called, so that no command waits for the imports of others."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command; a setting that it cannot use is one line, and no traceback."""
        try:
            return super().invoke(ctx)
        except UnusableSetting as error:
            click.echo(str(error), err=True)
            ctx.exit(UNUSABLE_SETTING)

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
        with quiet_interrupt(), no_collection():
            found: click.Command = getattr(import_module(MODULES[cmd_name]), cmd_name)
        return found

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of the command's docstring, from the source: to import all takes two seconds."""
        del ctx
        return summary_in_source(PACKAGES.joinpath(*MODULES[name].split(".")).with_suffix(".py"), name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with the text, without importing any command."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self.summary(ctx, name)) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection in this block: what is imported stays, so a collection frees nothing and takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@click.group(
    cls=Commands,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="webhookd")
def main() -> None:
    """Deliver Kafka topics to HTTP endpoints: at least once, in partition order.

    The service's processes read their settings from WEBHOOKD_… environment variables; `webhookd settings` lists them.
    """


if __name__ == "__main__":
    main()
