"""`webhookd settings`: lists the settings, checks them, and shows one of them."""

from shutil import get_terminal_size

import click
from click.shell_completion import CompletionItem

from command.loading import load_settings
from webhookd.configuration.environment import PREFIX, unknown, variable
from webhookd.configuration.forms import form_of, written
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings

WIDTH = 110
INDENT = "    "


def _names(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    begun = incomplete.upper()
    names = [variable(name) for name in Settings.model_fields]
    return [CompletionItem(name) for name in names if name.startswith((begun, PREFIX + begun))]


@click.command()
@click.argument("name", required=False, shell_complete=_names)
@click.option(
    "--check",
    is_flag=True,
    help="Only say whether a process could start with these settings. It reads the files that they name, and connects "
    "to nothing.",
)
def settings(name: str | None, *, check: bool) -> None:
    """List the environment variables that the processes read, or show the one of this NAME.

    The list has the value of each, says where it differs from the default, and what it is for. NAME may be without its
    WEBHOOKD_ and in any case. Settings that cannot be used are lines on stderr, and the exit code is 2.
    """
    if name is not None:
        _show(_known(name))
    elif check:
        _check(load_settings())
    else:
        _list(load_settings())


def _known(name: str) -> str:
    field = name.upper().removeprefix(PREFIX).lower()
    if field not in Settings.model_fields:
        wanted = variable(field)
        raise UnusableSetting(unknown(wanted, [variable(known) for known in Settings.model_fields]), variable=wanted)
    return field


def _show(name: str) -> None:
    field = Settings.model_fields[name]
    click.echo(f"{variable(name)}: {form_of(name, field)}")
    click.echo(_wrapped(field.description or ""))
    click.echo(f"default: {written(field.default) or '(not set)'}")
    click.echo(f"value: {load_settings().shown()[name] or '(not set)'}")


def _check(values: Settings) -> None:
    changed = [variable(name) for name in values.changed()]
    names = f" ({', '.join(changed)})" if changed else ""
    count = (
        f"{len(changed)} settings differ from their defaults"
        if len(changed) != 1
        else "1 setting differs from its default"
    )
    click.echo(f"{count}{names}: ok")


def _list(values: Settings) -> None:
    shown, changed = values.shown(), values.changed()
    for subject in Settings.subjects():
        click.echo(f"# {subject.title()}")
        for name, field in subject.model_fields.items():
            differs = f"  # default: {written(field.default) or '(not set)'}" if name in changed else ""
            click.echo(f"{variable(name)}={shown[name]}{differs}\n{_wrapped(field.description or '')}")
        click.echo()


def _wrapped(text: str) -> str:
    return click.wrap_text(text, min(WIDTH, get_terminal_size().columns), INDENT, INDENT)
