"""The command `webhookd-load-test report`."""

import webbrowser
from pathlib import Path

import click

from webhookd_load_test.report.html_report import write_report
from webhookd_load_test.report.picture import APPEARANCES, Appearance, NoPictureError, take_picture
from webhookd_load_test.report.run_data import UnusableRunError
from webhookd_load_test.run_folder.paths import RunFolder


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--open", "opens", is_flag=True, help="Open the report in a browser.")
@click.option(
    "--picture", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Also take a picture: a PNG file."
)
@click.option(
    "--appearance",
    type=click.Choice(list(APPEARANCES)),
    default="light",
    show_default=True,
    help="The appearance of the picture.",
)
@click.option(
    "--width",
    type=click.IntRange(500, 4000),
    default=1000,
    show_default=True,
    help="The width of the picture, in pixels.",
)
@click.option(
    "--height", type=click.IntRange(100, 20_000), help="Only so much of the top, in pixels; the whole if not given."
)
def report(
    *, folder: Path, opens: bool, picture: Path | None, appearance: Appearance, width: int, height: int | None
) -> None:
    """Write FOLDER/report.html from what is there of a run, whole or not."""
    try:
        written = write_report(RunFolder(folder))
        click.echo(f"written: {written}")
        if picture is not None:
            take_picture(written, picture, appearance=appearance, width_px=width, height_px=height)
            click.echo(f"written: {picture}")
    except (UnusableRunError, NoPictureError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from None
    if opens and not webbrowser.open(written.resolve().as_uri()):
        raise click.ClickException("no browser could be opened")
