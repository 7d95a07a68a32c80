"""`webhookd-load-test csv-generate`: writes the CSV file of a load."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from stack.signals import Interrupted, raise_on_signals
from webhookd_load_test.progress_display import ProgressDisplay
from webhookd_load_test.records import csv_writer
from webhookd_load_test.records.csv_file import TOPIC, UnusableCsvError
from webhookd_load_test.records.duration import Duration
from webhookd_load_test.records.generate import (
    LARGEST_PAYLOAD_BYTES,
    SMALLEST_PAYLOAD_BYTES,
    Record,
    generate,
    topic_names,
)

STDOUT = "-"
SHOWN_ROWS = 1000
"""After how many rows the progress is shown at the soonest."""


@click.command("csv-generate", short_help="Write the CSV file of a load.")
@click.option("--csv", "csv", required=True, metavar="FILE", help="The file to write; - is standard output.")
@click.option(
    "--duration",
    "duration_ms",
    type=Duration(),
    required=True,
    help="How long the load lasts: 90s, 1m, 1h30m, 500ms.",
)
@click.option("--rows", type=click.IntRange(1, 1_000_000_000), required=True, help="The number of records.")
@click.option(
    "--topics", type=click.IntRange(1, 10_000), help="The number of topics, PREFIX-0, PREFIX-1, …; 1 if not given."
)
@click.option(
    "--topic-prefix",
    default="load-test",
    show_default=True,
    metavar="PREFIX",
    help="How the names of the topics begin.",
)
@click.option(
    "--topic", "names", multiple=True, metavar="NAME", help="A topic, in place of --topics; repeat it for more."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="The same seed, the same file."
)
@click.option(
    "--payload-bytes",
    type=click.IntRange(SMALLEST_PAYLOAD_BYTES, LARGEST_PAYLOAD_BYTES),
    default=300,
    show_default=True,
    help="The exact size of each payload, a JSON object.",
)
@click.option(
    "--keys", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="The number of distinct keys."
)
@click.option(
    "--skew",
    type=click.FloatRange(0, 10),
    default=0.0,
    show_default=True,
    help="The exponent of the keys' Zipf distribution; 0: all equally frequent.",
)
def csv_generate(  # noqa: PLR0913  # options arrive as arguments
    *,
    csv: str,
    duration_ms: int,
    rows: int,
    topics: int | None,
    topic_prefix: str,
    names: tuple[str, ...],
    seed: int,
    payload_bytes: int,
    keys: int,
    skew: float,
) -> None:
    """Write the CSV file of a load: topic, payload, key, and when each record is published.

    The same options give the same file, byte for byte. Each payload is a JSON object such as

        {"id":0,"type":"order.created","status":"paid","tenant":17,"total":12.50,"note":"xxx"}

    with `paid` in one record of ten, and the number of the key, modulo 1000, as tenant. The file appears when it is
    complete; an interrupted command leaves none.
    """
    raise_on_signals()
    if names and topics is not None:
        raise click.UsageError("--topic and --topics exclude each other")
    chosen = _checked(names or topic_names(topics or 1, topic_prefix))
    records = generate(
        rows=rows, duration_ms=duration_ms, topics=chosen, payload_bytes=payload_bytes, keys=keys, skew=skew, seed=seed
    )
    try:
        with ProgressDisplay("generating", rows, "rows") as display:
            _write(csv, _shown(records, display))
    except UnusableCsvError as error:
        raise click.ClickException(str(error)) from None
    except Interrupted as interrupted:
        click.echo("interrupted; the file was not written", err=True)
        sys.exit(interrupted.exit_code)
    if csv != STDOUT:
        click.echo(f"wrote {rows:,} {'row' if rows == 1 else 'rows'} to {csv}")


def _checked(names: Iterable[str]) -> list[str]:
    found = list(names)
    for name in found:
        if not TOPIC.fullmatch(name):
            raise click.UsageError(f"{name!r} is no name of a topic: letters, digits, dots, _ and -, at most 249")
    if len(set(found)) != len(found):
        raise click.UsageError("--topic has a name twice")
    return found


def _write(target: str, records: Iterator[Record]) -> None:
    if target == STDOUT:
        csv_writer.write_to(sys.stdout, records)
        sys.stdout.flush()
    else:
        csv_writer.write(Path(target), records)


def _shown(records: Iterator[Record], display: ProgressDisplay) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        yield record
        if number % SHOWN_ROWS == 0:
            display.show(number)
