"""`webhookd topic`: creates a topic and produces records, for people who do not have Kafka's own tools.

Both commands end with exit code 0, or with one line about the error: exit code 1 for an error of Kafka or of the
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
from command.kafka_options import connection_of, kafka_options
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import KafkaUnavailable
from webhookd.kafka_properties import KafkaProperties

CREATE_S = 15.0
"""The time that the brokers get to create a topic; they need a fraction of a second."""

DELIVERY_S = 15.0
"""A record that the brokers have not acknowledged for this long counts as not produced."""

WAIT_FOR_ROOM_S = 0.1
"""How long to wait for acknowledgements when librdkafka's queue (100,000 records) is full, before the next try."""

BROKER_DEFAULT = -1
"""The value with which Kafka uses the default of the brokers."""

bootstrap_servers_option = click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT[,…]",
    help="The Kafka brokers; WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS if not given.",
)


@click.group()
def topic() -> None:
    """Create a Kafka topic, and produce records to it."""
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
@bootstrap_servers_option
@kafka_options
def produce(
    name: str,
    key: str | None,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
) -> None:
    """Produce the lines of standard input to the topic NAME: one JSON value a line, one record each.

    It ends at the end of the input, when all in-sync replicas have every record, and prints the number of records. It
    stops at the first line that is not JSON; the lines before it are produced. Empty lines are skipped.
    """
    kafka = connection_of(bootstrap_servers, kafka_config, kafka_config_file)
    if name not in _probe(kafka).topics:
        raise click.ClickException(f"topic {name} does not exist; create it: webhookd topic create {name}")
    records = Records(kafka, name, key)
    problem, exit_code = "", 0
    try:
        problem = _produce_lines(sys.stdin.buffer, records.produce)
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
    records.finish()
    click.echo(f"produced {records.produced:,} {'record' if records.produced == 1 else 'records'} to {name}")
    problem = problem or records.problem
    if problem:
        raise click.ClickException(problem)
    sys.exit(exit_code)


class Records:
    """Produces records to one topic with one key; `produced` counts those that all in-sync replicas have."""

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

    def produce(self, value: bytes) -> None:
        """Pass one record to the producer; waits only while its queue is full."""
        while not self._accepted(value):
            self._producer.poll(WAIT_FOR_ROOM_S)
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait until the brokers have acknowledged or refused every record; DELIVERY_S bounds that."""
        self._producer.flush()

    @property
    def problem(self) -> str:
        """How many records were not produced, and why the last of them was not; empty when all were."""
        return f"{self._refused:,} not produced: {self._reason}" if self._refused else ""

    def _accepted(self, value: bytes) -> bool:
        try:
            self._producer.produce(self._topic, value, self._key, on_delivery=self._delivered)
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


def _produce_lines(lines: Iterable[bytes], produce_one: Callable[[bytes], None]) -> str:
    """Produce each line that is not empty; returns the error of the first line that is not JSON, or an empty text."""
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if not value:
            continue
        try:
            msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"line {number} is not JSON, so it and what follows it were not produced: {error}"
        produce_one(value)
    return ""


def _probe(kafka: KafkaConnection) -> ClusterInfo:
    try:
        return probe_cluster(kafka)
    except KafkaUnavailable as error:
        raise click.ClickException(str(error)) from None
