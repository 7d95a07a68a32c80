"""`webhookd-load-test compare`: compares a run's files, prints the verdict, and writes result.json."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from stack.signals import Interrupted, raise_on_signals
from webhookd_load_test.compare import comparison
from webhookd_load_test.compare.compare_display import console, show
from webhookd_load_test.compare.shown_progress import shown_progress
from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.run_folder import result as result_file
from webhookd_load_test.run_folder.paths import RunFolder

UNUSABLE = 2


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def compare(folder: Path) -> None:
    """Compare what FOLDER says was published with what it says was received.

    Prints the verdict and writes FOLDER/result.json. The exit code is 0 when the run has passed, 1 when it has not, and
    2 when the folder cannot be compared.
    """
    raise_on_signals()
    try:
        sys.exit(_compare(RunFolder(folder), console()))
    except UnusableFolderError as error:
        click.echo(f"{folder}: {error}", err=True)
        sys.exit(UNUSABLE)
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)


def _compare(folder: RunFolder, out: Console) -> int:
    """Compare and print; returns the exit code. A result of before is removed first: it may say something else."""
    folder.result.unlink(missing_ok=True)
    with shown_progress(out, time.monotonic) as progress:
        found = comparison.compare(folder, None, progress)
    result_file.write(folder.result, found)
    show(found, out)
    return 0 if found.passed else 1
