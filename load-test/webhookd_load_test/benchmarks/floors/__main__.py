"""`python -m webhookd_load_test.benchmarks.floors`: measure one floor in this process, and print it as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from webhookd_load_test.benchmarks.floors.bare_loop import BareLoop, loop_floor
from webhookd_load_test.benchmarks.floors.curl_floor import curl_floor
from webhookd_load_test.benchmarks.floors.stopwatch import Floor

URL = click.option("--url", required=True, help="Where to post.")
CA_FILE = click.option("--ca-file", type=click.Path(path_type=Path), help="Whom to trust, for an URL of https.")
SECONDS = click.option("--seconds", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True)


@click.group()
def floors() -> None:
    """Measure one floor in this process, and print it as JSON."""


@floors.command()
@URL
@CA_FILE
@SECONDS
def curl(url: str, ca_file: Path | None, seconds: float) -> None:
    """Post one rendered record again and again, by a bare libcurl multi loop."""
    _print(curl_floor(url, seconds, ca_file))


@floors.command()
@URL
@CA_FILE
@SECONDS
@click.option("--kafka", required=True, help="The broker's address.")
@click.option("--topic", required=True)
@click.option("--partitions", type=click.IntRange(1), default=4, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Records in a request.")
def loop(url: str, ca_file: Path | None, seconds: float, kafka: str, topic: str, partitions: int, batch: int) -> None:
    """Consume a topic, render its records and post them, without Celery, Redis and ledger."""
    _print(loop_floor(BareLoop(url, ca_file, batch), kafka, topic, partitions, seconds))


def _print(floor: Floor) -> None:
    click.echo(json.dumps(asdict(floor)))


if __name__ == "__main__":
    floors()
