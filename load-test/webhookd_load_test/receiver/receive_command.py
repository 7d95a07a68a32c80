"""The command `receive`: an HTTP endpoint on loopback that saves all it gets in SQLite, and fails on request."""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from command.help_text import HelpCommand
from stack.signals import Interrupted, raise_on_signals
from webhookd_load_test.receiver.fault_flag import FaultType
from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.receiver.live_counts import LiveCounts, in_words
from webhookd_load_test.receiver.receiver_processes import ReceiverFailedError, ReceiverProcesses
from webhookd_load_test.receiver.secrets_file import SecretsFile, UnusableSecretsError, secret_of
from webhookd_load_test.run_folder.paths import RunFolder

EXAMPLES = (
    ("Receive on port 9000", "webhookd-load-test receive --folder received"),
    ("Answer 503 to a tenth, from second 10 to 20", "… --fault error:share=0.1,status=503,from=10,to=20"),
    ("Answer 429 to a tenth, and a fifth after 2 s", "… --fault limit:share=0.1 --fault slow:share=0.2,delay=2"),
    ("Never answer one path", "… --fault timeout:path=/orders"),
    ("Count what has arrived", "sqlite3 received/received-0.sqlite 'SELECT count(*) FROM records'"),
)


class SecretType(click.ParamType[tuple[str, str], str]):
    """Makes a path and its secret of the option's text; errors show no secret."""

    name = "secret"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the path and the secret; fails with the reason."""
        if isinstance(value, tuple):
            return value
        try:
            return secret_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=HelpCommand, examples=EXAMPLES)
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes a free one.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where received-0.sqlite, received-1.sqlite … are written, one for each process; existing files are "
    "continued.",
)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="How many share the port.")
@click.option(
    "--fault",
    "faults",
    type=FaultType(),
    multiple=True,
    help="How it fails: the kind error, limit (429), timeout (never answers) or slow, with share=0 to 1, "
    "from= and to= (seconds since the start), path= (how the paths begin), and status= of an error, retry_after= "
    "of a limit, delay= of a slow answer. Shares of several add up.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the requests that have a fault.")
@click.option(
    "--secret",
    "secrets",
    type=SecretType(),
    metavar="PATH=whsec_…",
    multiple=True,
    help="The signing secret of a path. Other users of the machine can see it: --secrets hides it.",
)
@click.option(
    "--secrets",
    "secrets_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help='A file with them, {"/path": "whsec_…", …}, or a list for a path. It is read again when it has changed.',
)
@click.option("--no-values", is_flag=True, help="Do not save the values of records.")
@click.option("--quiet", is_flag=True, help="Print no counts while it runs.")
def receive(  # noqa: PLR0913 - one for each option
    port: int,
    folder: Path,
    processes: int,
    faults: tuple[Fault, ...],
    seed: int,
    secrets: tuple[tuple[str, str], ...],
    secrets_file: Path | None,
    *,
    no_values: bool,
    quiet: bool,
) -> None:
    """Save each request to 127.0.0.1 with its answer and its records in SQLite.

    Give each subscription a path of its own. A delivery is answered with 200, any other request with 400, and one with
    an invalid signature with 401 if the secret of its path is known. It consents when webhookd asks whether it
    wants the requests of a subscription.

    Ctrl-C or SIGTERM ends it when everything is saved. It ends with an error when it cannot save, for example because
    the disk is full.
    """
    if secrets and secrets_file:
        raise click.UsageError("--secret and --secrets cannot be used together: add the secret to the file.")
    try:
        known = SecretsFile(secrets_file)
        raise_on_signals()
        processes_ = ReceiverProcesses(
            folder=RunFolder(folder),
            processes=processes,
            faults=faults,
            seed=seed,
            secrets=secrets_file or {path: [own for of, own in secrets if of == path] for path, _ in secrets},
            keep_values=not no_values,
            port=port,
        )
        with processes_ as receiver:
            receiver.begin(time.time_ns())
            _describe(receiver, folder, processes, faults)
            with suppress(Interrupted):
                _show(receiver, known, quiet=quiet)
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)  # it has not listened yet
    except (ReceiverFailedError, UnusableSecretsError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot write to {folder}: {error.strerror}") from None
    click.echo(f"received {in_words(receiver.counts())}")


def _describe(receiver: ReceiverProcesses, folder: Path, processes: int, faults: Sequence[Fault]) -> None:
    by = f" with {processes} processes" if processes > 1 else ""
    failing = f", failing in {len(faults)} way{'s' * (len(faults) > 1)}" if faults else ""
    click.echo(f"listening on {receiver.url}{by}{failing}, saving to {folder}; Ctrl-C ends it")


def _show(receiver: ReceiverProcesses, known: SecretsFile, *, quiet: bool) -> NoReturn:
    """Show the counts until Interrupted. Raises ReceiverFailedError when a process has ended."""
    display = LiveCounts(Console(), time.monotonic())
    shown: AbstractContextManager[object] = nullcontext() if quiet else display
    fault = ""
    with shown:
        while True:
            time.sleep(display.interval_s)
            counts = receiver.counts()
            if not quiet:
                display.show(counts, time.monotonic())
            known.of("")
            if known.fault != fault and known.fault:
                click.echo(f"{known.fault}; the secrets from before are still used", err=True)
            fault = known.fault
