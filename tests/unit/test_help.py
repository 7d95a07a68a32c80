"""The help of every command is readable at any width: nothing is cut off, run together or wider than the terminal."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from command.help_text import WHOLE, HelpGroup
from command.main import EXAMPLES, MODULES, main

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


@pytest.mark.parametrize("name", MODULES)
def test_summary_from_the_source_is_that_of_the_command(name: str) -> None:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    assert main.summary(context, name) == command.get_short_help_str(WHOLE) != ""


@pytest.mark.parametrize(
    "environment", [{}, {"_WEBHOOKD_COMPLETE": "zsh_complete", "COMP_WORDS": "webhookd ", "COMP_CWORD": "1"}]
)
def test_list_of_commands_waits_for_no_imports(environment: dict[str, str]) -> None:
    script = """
        import atexit, sys
        slow = {"celery", "flask", "pydantic", "sqlalchemy"}
        atexit.register(lambda: print("slow:", sorted(slow & set(sys.modules))))
        from command.main import main
        main(["--help"], prog_name="webhookd")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert (lines[-1], done.stderr) == ("slow: []", "")
    assert any(line.split() and line.split()[0] == "settings" for line in lines)
