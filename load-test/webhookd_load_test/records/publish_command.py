"""`webhookd-load-test csv-publish`: publishes the CSV file of a load."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from command.cluster_probe import probe_cluster
from command.kafka_options import connection_of, kafka_options
from stack.signals import Interrupted, raise_on_signals
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import KafkaUnavailable, UnusableSetting
from webhookd.kafka_properties import KafkaProperties
from webhookd_load_test.kafka_access import properties
from webhookd_load_test.progress_display import ProgressDisplay
from webhookd_load_test.records.csv_file import UnusableCsvError
from webhookd_load_test.records.csv_survey import CsvSurvey
from webhookd_load_test.records.publish_lines import lines_of, note_of
from webhookd_load_test.records.publish_summary import PublishProgress, PublishSummary
from webhookd_load_test.records.published_file import UnusablePublishedError
from webhookd_load_test.records.publisher import Publisher
from webhookd_load_test.records.topics import BROKER_DEFAULT, TopicsNotCreatedError, create_topics

PUBLISHED = "published.sqlite"
UNUSABLE = 2
"""The exit code for options that cannot be used, as click's own."""

ERRORS = (UnusableCsvError, UnusablePublishedError, TopicsNotCreatedError, KafkaUnavailable)


@click.command("csv-publish", short_help="Publish the CSV file of a load to Kafka.")
@click.option(
    "--csv", "csv", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file; see csv-generate."
)
@click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT[,…]",
    help="The Kafka brokers; WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS if not given.",
)
@kafka_options
@click.option(
    "--published",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Where to keep what is acknowledged, SQLite; {PUBLISHED} beside the CSV file if not given.",
)
@click.option(
    "--create-topics",
    "create",
    is_flag=True,
    help="Create the topics that are not there, with the time of the append as timestamp.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="Partitions of each created topic; the brokers' default if not given.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 100),
    help="Replicas of each partition of the created topics; the brokers' default if not given.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1000),
    default=1.0,
    show_default=True,
    help="How many times as fast as the file says.",
)
def csv_publish(  # noqa: PLR0913  # options arrive as arguments
    *,
    csv: Path,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
    published: Path | None,
    create: bool,
    partitions: int | None,
    replication_factor: int | None,
    speed: float,
) -> None:
    """Publish each row of a CSV file at the time that it says, counted from now.

    What Kafka has acknowledged, and when, is kept. Ctrl-C and SIGTERM stop it in order; the same command then goes on
    with the rows that are not acknowledged. Each record has its row's number, from 0, in the header load-test-record.

    Exit code 0: Kafka has every row. 1: it has not, and the reasons are printed. 2: an option cannot be used. 130 or
    143: stopped.
    """
    raise_on_signals()
    if not create and (partitions or replication_factor):
        raise click.UsageError("--partitions and --replication-factor need --create-topics")
    try:
        kafka = connection_of(bootstrap_servers, kafka_config, kafka_config_file)
        command = _Command(kafka, csv, published or csv.with_name(PUBLISHED), speed)
        survey = command.survey()
        probe_cluster(kafka)
        if create:
            _create(kafka, survey, partitions or BROKER_DEFAULT, replication_factor or BROKER_DEFAULT)
        summary, exit_code = command.publish(survey)
    except UnusableSetting as error:
        click.echo(str(error), err=True)
        sys.exit(UNUSABLE)
    except ERRORS as error:
        raise click.ClickException(str(error)) from None
    except Interrupted as interrupted:
        click.echo("interrupted before the first record", err=True)
        sys.exit(interrupted.exit_code)
    for line in lines_of(summary, csv):
        click.echo(line)
    sys.exit(exit_code or (0 if summary.complete else 1))


def _create(kafka: KafkaConnection, survey: CsvSurvey, partitions: int, replication_factor: int) -> None:
    created = create_topics(properties(kafka), dict.fromkeys(survey.topics, partitions), replication_factor)
    there = [name for name in survey.topics if name not in created]
    for what, names in (("created", created), ("there already, left alone:", there)):
        if names:
            click.echo(f"{what} {', '.join(names)}", err=True)


class _Command:
    """The publisher with its displays."""

    def __init__(self, kafka: KafkaConnection, csv: Path, published: Path, speed: float) -> None:
        self._csv = csv
        self._display: ProgressDisplay | None = None
        self._publisher = Publisher(
            csv=csv, published=published, kafka=properties(kafka), speed=speed, on_progress=self._show
        )

    def survey(self) -> CsvSurvey:
        """Read the file once. Raises UnusableCsvError."""
        size = self._csv.stat().st_size if self._csv.exists() else 0
        with ProgressDisplay("reading", size, "bytes") as display:
            return self._publisher.prepare(display.show)

    def publish(self, survey: CsvSurvey) -> tuple[PublishSummary, int]:
        """Publish until the end or a signal; returns its exit code, 0 without one."""
        stopping = threading.Event()
        with ProgressDisplay("publishing", survey.rows, "rows") as self._display, ThreadPoolExecutor(1) as thread:
            running = thread.submit(self._publisher.run, stopping)
            try:
                return running.result(), 0
            except Interrupted as interrupted:
                stopping.set()
                return running.result(), interrupted.exit_code
            finally:
                stopping.set()

    def _show(self, progress: PublishProgress) -> None:
        if self._display is not None:
            self._display.show(progress.acknowledged, note_of(progress))
