"""`webhookd flower`: shows workers and tasks in a browser."""

import click

from command import flower_server
from command.process_start import process_settings


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    """Show workers and tasks in a browser (Flower); ARGUMENTS are passed to Flower.

    It listens on loopback, or on every address when WEBHOOKD_FLOWER_LOGIN sets a login. Its remote actions are off
    unless `--read_only=false` is among the arguments. Its HTTP API asks for the login too; on loopback it needs none.
    A signal ends it at once.
    """
    flower_server.run(process_settings(), arguments)
