"""The help of every command is readable at any width: nothing is cut off, run together or wider than the terminal."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from command.help_text import HelpGroup
from command.main import EXAMPLES, main

WIDTHS = (80, 120)


def paths(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command, beginning with those of the group itself."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from paths(command, (*path, name))
        else:
            yield (*path, name)


PATHS = list(paths(main))


def help_of(path: tuple[str, ...], width: int) -> list[str]:
    """The lines of a command's help on a terminal of this width."""
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=width)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_fits_the_terminal(path: tuple[str, ...]) -> None:
    for width in WIDTHS:
        lines = help_of(path, width)
        assert [line for line in lines if len(line) > width] == []
        assert [line for line in lines if line.rstrip().endswith("...") and not line.startswith("Usage")] == []
        assert [line for line in lines if "\b" in line or "\\b" in line] == []


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_needs_no_mark_for_lines_that_stay_apart(path: tuple[str, ...]) -> None:
    command: click.Command | None = main
    for word in path:
        assert isinstance(command, HelpGroup)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert "\b" not in (command.help or "")


@pytest.mark.parametrize("width", WIDTHS)
def test_each_example_begins_a_line(width: int) -> None:
    lines = help_of((), width)
    for purpose, example in EXAMPLES:
        (line,) = [line for line in lines if line.strip().startswith(f"{purpose}  ")]
        assert example.startswith(line.split("  ")[-1].strip())
