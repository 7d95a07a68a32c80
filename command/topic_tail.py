"""Reads a topic as it grows, without a consumer group, and writes one line for each record."""

import base64
import sys
from collections.abc import Callable

import click
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from command.shutdown_signals import ShutdownSignals
from webhookd.edges.kafka_connection import ExplainingAdmin, KafkaConnection
from webhookd.errors import KafkaUnavailable, UndecodableRecord
from webhookd.flow.filters.decoding import validate

ASK_S = 10.0
POLL_S = 0.2
"""How late a signal is seen at most."""

ONE_LINE = bytes.maketrans(b"\n\r", b"  ")
"""Line breaks in JSON stand only between its tokens, where spaces mean the same."""

_encode = msgspec.json.Encoder().encode


class TopicTail:
    """Reads all partitions of an existing topic from their ends, or from their beginnings; commits nothing."""

    def __init__(self, kafka: KafkaConnection, topic: str, *, from_earliest: bool) -> None:
        """Find the offsets to begin at, so that no later record is missed. Raises KafkaUnavailable."""
        self.trouble = ""
        self._topic = topic
        spec = OffsetSpec.earliest() if from_earliest else OffsetSpec.latest()
        start = _offsets(kafka.admin({"client.id": "webhookd-topic"}), topic, spec)
        config = {
            "client.id": "webhookd-topic",
            "group.id": "webhookd-topic-tail",  # librdkafka requires a name; nothing joins or commits to this group
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "error_cb": self._note,
        }
        self._consumer = kafka.consumer(config)
        self._consumer.assign(start)

    def copy(self, write: Callable[[Message], None], signals: ShutdownSignals, count: int | None) -> None:
        """Write `count` records (None: without end) until a signal. Raises KafkaUnavailable when it cannot go on."""
        left = count
        while left != 0 and not signals.received:
            message = self._consumer.poll(POLL_S)
            self._report_trouble()
            if message is None:
                continue
            if (error := message.error()) is not None:
                self._judge(error)
                continue
            write(message)
            left = None if left is None else left - 1

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _judge(self, error: KafkaError) -> None:
        if error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its public name for this code
            self.trouble = error.str()
            return
        raise KafkaUnavailable(f"{self._topic} cannot be read: {error.str()}")

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - likewise
            self.trouble = f"{error.str()}; it goes on when they answer"

    def _report_trouble(self) -> None:
        if self.trouble:
            click.echo(f"webhookd topic tail: {self.trouble}", err=True)
            self.trouble = ""


def _offsets(admin: ExplainingAdmin, topic: str, spec: OffsetSpec) -> list[TopicPartition]:
    """Return the offset of each partition, with one request to each broker."""
    try:
        partitions = admin.metadata(topic, ASK_S).topics[topic].partitions
        asked = {TopicPartition(topic, number): spec for number in partitions}
        found = admin.list_offsets(asked, request_timeout=ASK_S)
        return [TopicPartition(topic, part.partition, future.result().offset) for part, future in found.items()]
    except KafkaException as error:
        raise KafkaUnavailable(f"{topic} cannot be read: {admin.explain(error).detail}") from error


def write_json(message: Message) -> None:
    """Write a record as webhookd sends it, as one line of JSON."""
    sys.stdout.buffer.write(json_line(message) + b"\n")
    sys.stdout.buffer.flush()


def write_text(message: Message) -> None:
    """Write a record for people: partition, offset, key and value."""
    click.echo(text_line(message))


def json_line(message: Message) -> bytes:
    """Return the record with the fields that it has in a request, in one line.

    A value that is not JSON cannot be sent. It is shown as `raw` instead of `value`: text, or `{"base64": "…"}`.
    """
    value = message.value()
    fields: dict[str, object] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": _text(message.key()),
        "headers": [[name, _text(content)] for name, content in list(message.headers() or ())],
    }
    if value is None or _is_json(value):
        fields["value"] = None if value is None else msgspec.Raw(value.translate(ONE_LINE))
    else:
        fields["raw"] = _text(value)
    return _encode(fields)


def text_line(message: Message) -> str:
    """Return `partition:offset  key  value`, with escapes for what a terminal would obey."""
    key, value = message.key(), message.value()
    shown = "null" if value is None else _printable(value.translate(ONE_LINE))
    return f"{message.partition()}:{message.offset()}  {'-' if key is None else _printable(key)}  {shown}"


def _is_json(value: bytes) -> bool:
    try:
        validate(value)
    except UndecodableRecord:
        return False
    return True


def _text(content: bytes | str | None) -> object:
    if content is None or isinstance(content, str):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _printable(content: bytes | str) -> str:
    text = content if isinstance(content, str) else content.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
