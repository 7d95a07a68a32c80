"""`webhookd completion`: prints the script with which a shell completes commands, options and names of settings."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "webhookd"
SHELLS = ("bash", "fish", "zsh")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete webhookd's commands, options and names of settings.

    For bash add `eval "$(webhookd completion bash)"` to ~/.bashrc, for zsh `eval "$(webhookd completion zsh)"` to
    ~/.zshrc. For fish write the output to ~/.config/fish/completions/webhookd.fish. bash must be 4.4 or newer.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has one for each of SHELLS
    click.echo(kind(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
