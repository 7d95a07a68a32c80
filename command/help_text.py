"""Help of commands that fits any width: examples and lists of commands are wrapped, and nothing is cut off."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

Examples = Sequence[tuple[str, str]]
"""What to do, and the command for it."""

WHOLE = 1000
"""A limit of characters for a summary that none of them reaches."""


def summary_in_source(file: Path, function: str) -> str:
    """Return the first sentence of a command's docstring without importing its module, which can take a second."""
    nodes = ast.parse(file.read_text(encoding="utf-8")).body
    found = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function)
    return click.Command(function, help=ast.get_docstring(found)).get_short_help_str(WHOLE)


class HelpCommand(click.Command):
    """A command that may have examples. Its docstring needs no mark for lines that must stay apart."""

    def __init__(self, *args: Any, examples: Examples = (), **options: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **options)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the docstring, then the examples in two columns."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.examples))


class HelpGroup(HelpCommand, click.Group):
    """A group of such commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its whole summary, which click would cut off at the end of the line."""
        rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return what the command of that name does, in one sentence."""
        found = self.get_command(ctx, name)
        return found.get_short_help_str(WHOLE) if found else ""
