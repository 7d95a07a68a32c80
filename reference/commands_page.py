"""docs/reference/commands.md: every command of `webhookd`, with its arguments and options."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from command.main import main
from reference.markdown import code, page, table

PROGRAM = "webhookd"
_VERBATIM = "\b"
"""click's own mark: the paragraph keeps its line breaks."""


def commands_page() -> str:
    """The whole page."""
    context = click.Context(main, info_name=PROGRAM)
    return page("Commands", *(block for found in _commands(main, context, level=1) for block in found))


def _commands(command: click.Command, context: click.Context, level: int) -> Iterator[list[str]]:
    """The blocks of a command, then those of its sub-commands."""
    heading = [f"{'#' * level} {context.command_path}"] if level > 1 else []
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield [*heading, f"```text\n{usage}\n```", *_paragraphs(command.help or ""), *_parameters(command, context)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None  # noqa: S101  # listed, so there is one
            yield from _commands(child, click.Context(child, info_name=name, parent=context), level + 1)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith(_VERBATIM):
            yield f"```text\n{inspect.cleandoc(paragraph.removeprefix(_VERBATIM))}\n```"
        else:
            yield paragraph


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    rows = [_row(option, context) for option in options if not option.hidden and "--help" not in option.opts]
    if rows:
        yield table(["Option", "Default", "What it does"], rows)


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
