"""docs/reference/commands.md: every command of `webhookd`, with its arguments and options."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from command.help_text import HelpGroup
from command.main import main
from documentation.reference.markdown import code, page, table

PROGRAM = "webhookd"


def commands_page() -> str:
    """The whole page."""
    return page("Commands", *(block for context in contexts() for block in _blocks(context)))


def contexts(parent: click.Context | None = None) -> Iterator[click.Context]:
    """The context of every command: `webhookd` itself, then its sub-commands, each before its own."""
    here = parent or click.Context(main, info_name=PROGRAM)
    yield here
    if isinstance(here.command, click.Group):
        for name in here.command.list_commands(here):
            command = here.command.get_command(here, name)
            assert command is not None  # noqa: S101  # listed, so there is one
            yield from contexts(click.Context(command, info_name=name, parent=here))


def options(context: click.Context) -> list[click.Option]:
    """The options of a command; that for help is every command's."""
    found = [option for option in context.command.get_params(context) if isinstance(option, click.Option)]
    return [option for option in found if not option.hidden and "--help" not in option.opts]


def _blocks(context: click.Context) -> Iterator[str]:
    if context.parent is not None:
        yield f"{'#' * len(context.command_path.split())} {context.command_path}"
    yield f"```text\n{' '.join([context.command_path, *context.command.collect_usage_pieces(context)])}\n```"
    yield inspect.cleandoc(context.command.help or "")
    yield from _examples(context.command)
    rows = [_row(option, context) for option in options(context)]
    if rows:
        yield table(["Option", "Default", "What it does"], rows)


def _examples(command: click.Command) -> Iterator[str]:
    if isinstance(command, HelpGroup) and command.examples:
        width = max(len(purpose) for purpose, _ in command.examples)
        lines = [f"{purpose:<{width}}  {example}" for purpose, example in command.examples]
        yield "\n".join(["```text", *lines, "```"])


def _row(option: click.Option, context: click.Context) -> list[str]:
    value = "" if option.is_flag else f" {option.make_metavar(context).removesuffix(' RANGE')}"
    name = code(f"{', '.join([*option.opts, *option.secondary_opts])}{value}")
    return [name, _default(option), " ".join([option.help or "", *_notes(option)]).strip()]


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    shown = option.default if isinstance(option.default, (str, int, float, Path)) else ""
    return "" if option.is_flag else code(str(shown))


def _notes(option: click.Option) -> Iterator[str]:
    if option.multiple:
        yield "May be given several times."
    if isinstance(option.type, (click.IntRange, click.FloatRange)):
        yield f"From {option.type.min} to {option.type.max}."
