"""`webhookd topic`: creates a topic, produces and shows records, for people who do not have Kafka's own tools.

The commands end with exit code 0, or with one line about the error: exit code 1 for an error of Kafka or of the
records, 2 for an invalid option.
"""

import logging
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.cimpl import NewTopic

from command.cluster_probe import ClusterInfo, probe_cluster
from command.help_text import HelpGroup
from command.kafka_options import connection_of, kafka_options
from command.shutdown_signals import ShutdownSignals
from command.topic_tail import TopicTail, write_json, write_text
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import KafkaUnavailable
from webhookd.kafka_properties import KafkaProperties

CREATE_S = 15.0
"""The time that the brokers get to create a topic; they need a fraction of a second."""

DELIVERY_S = 15.0
"""A record that the brokers have not acknowledged for this long counts as not produced."""

WAIT_FOR_ROOM_S = 0.1
"""How long to wait for acknowledgements when librdkafka's queue (100,000 records) is full, before the next try."""

NOTHING_MORE = "so it and what follows it were not produced"

BROKER_DEFAULT = -1
"""The value with which Kafka uses the default of the brokers."""

bootstrap_servers_option = click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT[,…]",
    help="The Kafka brokers; WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS if not given.",
)


@click.group(cls=HelpGroup)
def topic() -> None:
    """Create a Kafka topic, produce records to it, and show its records."""
    # librdkafka's log lines are dropped: the command's own error line has the same information.
    logging.getLogger("librdkafka").addHandler(logging.NullHandler())


@topic.command()
@click.argument("name")
@click.option("--partitions", type=click.IntRange(1, 10_000), help="As the brokers are configured, if not given.")
@bootstrap_servers_option
@kafka_options
def create(
    name: str,
    partitions: int | None,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
) -> None:
    """Create the topic NAME.

    The brokers' defaults decide the number of replicas. A topic that exists already is left as it is: exit code 1.
    """
    kafka = connection_of(bootstrap_servers, kafka_config, kafka_config_file)
    _probe(kafka)
    client = kafka.admin({"client.id": "webhookd-topic"})
    wanted = NewTopic(name, num_partitions=partitions or BROKER_DEFAULT, replication_factor=BROKER_DEFAULT)
    try:
        client.create_topics([wanted], request_timeout=CREATE_S)[name].result()
    except KafkaException as error:
        raise click.ClickException(f"{name} was not created: {error.args[0].str()}") from None
    click.echo(f"created topic {name}")


@topic.command(short_help="Produce records from standard input, one JSON value a line.")
@click.argument("name")
@click.option("--key", help="The key of every record; records with the same key go to the same partition.")
@click.option("--key-field", metavar="NAME", help="Take each record's key from this field of its value.")
@bootstrap_servers_option
@kafka_options
def produce(
    name: str,
    key: str | None,
    key_field: str | None,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
) -> None:
    """Produce the lines of standard input to the topic NAME: one JSON value a line, one record each.

    Without --key and --key-field the records have no key, and are spread over the partitions.

    It ends at the end of the input, when all in-sync replicas have every record, and prints the number of records. It
    stops at the first line that is not JSON, or without the field for its key; the lines before it are produced. Empty
    lines are skipped.
    """
    if key is not None and key_field is not None:
        raise click.UsageError("--key and --key-field exclude each other")
    kafka = connection_of(bootstrap_servers, kafka_config, kafka_config_file)
    if name not in _probe(kafka).topics:
        raise click.ClickException(f"topic {name} does not exist; create it: webhookd topic create {name}")
    records = Records(kafka, name, key)
    problem, exit_code = "", 0
    try:
        problem = _produce_lines(sys.stdin.buffer, key_field, records.produce)
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
    records.finish()
    click.echo(f"produced {records.produced:,} {'record' if records.produced == 1 else 'records'} to {name}")
    problem = problem or records.problem
    if problem:
        raise click.ClickException(problem)
    sys.exit(exit_code)


@topic.command()
@click.argument("name")
@click.option(
    "--from",
    "start",
    type=click.Choice(["earliest", "latest"]),
    default="latest",
    show_default=True,
    help="Where to begin: at the oldest records, or with those that are produced from now on.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 1_000_000_000),
    help="End after this many records; without it, at Ctrl-C or SIGTERM.",
)
@bootstrap_servers_option
@kafka_options
def tail(
    name: str,
    start: str,
    count: int | None,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
) -> None:
    """Show the records of the topic NAME as they arrive.

    On a terminal a line is `partition:offset  key  value`. Elsewhere it is a JSON object with the fields that the
    record has in a request to an endpoint; a value that is not JSON is in `raw` instead of `value`. Nothing is
    committed, so no consumer group is left behind.

    Ctrl-C ends it with exit code 130, SIGTERM with 0.
    """
    kafka = connection_of(bootstrap_servers, kafka_config, kafka_config_file)
    if name not in _probe(kafka).topics:
        raise click.ClickException(f"topic {name} does not exist; create it: webhookd topic create {name}")
    signals = ShutdownSignals()
    try:
        records = TopicTail(kafka, name, from_earliest=start == "earliest")
        click.echo(f"showing {name} from {start}; Ctrl-C ends it", err=True)
        records.copy(write_text if sys.stdout.isatty() else write_json, signals, count)
    except KafkaUnavailable as error:
        raise click.ClickException(str(error)) from None
    records.close()
    signals.exit_process(signals.exit_code if signals.number == signal.SIGINT else 0)


class Records:
    """Produces records to one topic; `produced` counts those that all in-sync replicas have.

    `key` is for the records that have none of their own.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, key: str | None) -> None:
        self.produced = 0
        self._refused = 0
        self._reason = ""
        self._topic = topic
        self._key = key
        config = {
            "client.id": "webhookd-topic",
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": int(DELIVERY_S * 1000),
        }
        self._producer = kafka.producer(config)

    def produce(self, value: bytes, key: str | None) -> None:
        """Pass one record to the producer; waits only while its queue is full."""
        while not self._accepted(value, self._key if key is None else key):
            self._producer.poll(WAIT_FOR_ROOM_S)
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait until the brokers have acknowledged or refused every record; DELIVERY_S bounds that."""
        self._producer.flush()

    @property
    def problem(self) -> str:
        """How many records were not produced, and why the last of them was not; empty when all were."""
        return f"{self._refused:,} not produced: {self._reason}" if self._refused else ""

    def _accepted(self, value: bytes, key: str | None) -> bool:
        try:
            self._producer.produce(self._topic, value, key, on_delivery=self._delivered)
        except BufferError:
            return False
        except KafkaException as error:
            self._refuse(error.args[0])
        return True

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.produced += 1
        else:
            self._refuse(error)

    def _refuse(self, error: KafkaError) -> None:
        self._refused += 1
        self._reason = error.str()


def _produce_lines(
    lines: Iterable[bytes], key_field: str | None, produce_one: Callable[[bytes, str | None], None]
) -> str:
    """Produce each line that is not empty; returns the error of the first unusable line, or an empty text."""
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if not value:
            continue
        try:
            decoded = msgspec.json.decode(value)
            key = None if key_field is None else key_in(decoded, key_field)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"line {number} is not JSON, {NOTHING_MORE}: {error}"
        except ValueError as error:
            return f"line {number} {error}, {NOTHING_MORE}"
        produce_one(value, key)
    return ""


def key_in(value: object, field: str) -> str:
    """Return the record's key from a field of its value. Raises ValueError that says why there is none."""
    found = value.get(field) if isinstance(value, dict) else None
    if isinstance(found, str):
        return found
    if found is None or isinstance(found, dict | list):
        raise ValueError(f"has no text or number in the field {field}")
    return msgspec.json.encode(found).decode()


def _probe(kafka: KafkaConnection) -> ClusterInfo:
    try:
        return probe_cluster(kafka)
    except KafkaUnavailable as error:
        raise click.ClickException(str(error)) from None
