"""Hands records to Kafka, and says of each whether it was acknowledged or refused.

A broker refuses a whole batch because of one record in it. So what was refused for its content is sent once more, alone
in its batch, by a producer of its own; only what is refused then is reported. Those records come behind later ones of
their partition, whose offsets say so.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from webhookd_load_test.kafka_access import LIBRARY_LOG, connection
from webhookd_load_test.records.pending_rows import PendingRow
from webhookd_load_test.records.published_file import Acknowledged
from webhookd_load_test.records.told_offsets import ToldOffsets
from webhookd_load_test.run_folder.published import HEADER

CONFIG: Final[Mapping[str, Any]] = {
    "client.id": "webhookd-load-test",
    "acks": "all",
    "enable.idempotence": True,
    # Longer than it takes to notice a dead broker, to elect leaders, and to start it again.
    "delivery.timeout.ms": 300_000,
    # As Kafka's Java clients do: a key has the same partition, whoever publishes it.
    "partitioner": "murmur2_random",
    "allow.auto.create.topics": False,
    # The topic's own limit decides, not the client's default of 1 MB.
    "message.max.bytes": 1_000_000_000,
    # What is not acknowledged yet is in memory; a file of any size is not.
    "queue.buffering.max.kbytes": 131_072,
    "linger.ms": 5,
    "reconnect.backoff.max.ms": 1000,
}

ALONE: Final[Mapping[str, Any]] = {**CONFIG, "batch.num.messages": 1}

OF_ANY_RECORD: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001  # librdkafka's own codes begin with an underscore
    }
)
"""The errors of a whole batch of which one record may be the reason."""

LISTED: Final = 100
"""How many refused records are kept; all are counted."""

FLUSH_STEP_S: Final = 0.1


class Refusal(NamedTuple):
    """A record that Kafka does not accept."""

    line: int
    topic: str
    reason: str


class Sent(NamedTuple):
    """A record on its way."""

    row: PendingRow
    due_ns: int
    sent_ns: int


class Sender:
    """Two producers; one thread. `failure` is why no more can be sent; empty as long as it can.

    `acknowledged` is called for each record that all in-sync replicas have, inside `serve` and `flush`.
    """

    def __init__(
        self, kafka: Mapping[str, str], acknowledged: Callable[[Acknowledged], None], now_ns: Callable[[], int]
    ) -> None:
        self.failure = ""
        self.refused = 0
        self.refusals: list[Refusal] = []
        self._acknowledged = acknowledged
        self._now_ns = now_ns
        self._kafka = connection(kafka)
        self._together = self._kafka.producer(CONFIG, LIBRARY_LOG)
        self._together_told = ToldOffsets()
        self._alone: Producer | None = None
        self._alone_told = ToldOffsets()
        self._again: deque[Sent] = deque()

    @property
    def unanswered(self) -> int:
        """How many records were handed over and are neither acknowledged nor refused."""
        return len(self._together) + len(self._again) + (len(self._alone) if self._alone else 0)

    def send(self, row: PendingRow, due_ns: int) -> bool:
        """Hand over a record; returns False when there is no room, and then `serve` makes some."""
        sent = Sent(row, due_ns, self._now_ns())
        return self._handed_over(self._together, sent, partial(self._reported, sent))

    def serve(self, timeout_s: float) -> None:
        """Take in what the brokers have answered; waits so long for the first answer."""
        self._together.poll(timeout_s)
        self._serve_alone()

    def flush(self, giving_up: Callable[[], bool]) -> int:
        """Wait until every record has an answer; returns how many have none when it gave up.

        Each gets one within the delivery time-out, five minutes.
        """
        while self.unanswered and not giving_up():
            self._together.flush(FLUSH_STEP_S)
            self._serve_alone()
            if self._alone is not None:
                self._alone.flush(FLUSH_STEP_S)
        return self.unanswered

    def _serve_alone(self) -> None:
        if self._again and self._alone is None:
            self._alone = self._kafka.producer(ALONE, LIBRARY_LOG)
        if self._alone is None:
            return
        self._alone.poll(0)
        while self._again and self._handed_over(
            self._alone, self._again[0], partial(self._reported_alone, self._again[0])
        ):
            self._again.popleft()

    def _handed_over(
        self, producer: Producer, sent: Sent, reported: Callable[[KafkaError | None, Message], None]
    ) -> bool:
        record, header = sent.row.record, (HEADER, str(sent.row.number))
        try:
            producer.produce(record.topic, record.payload, record.key, headers=[header], on_delivery=reported)
        except BufferError:
            return False
        except KafkaException as error:
            self._refuse(sent, error.args[0])
        return True

    def _reported(self, sent: Sent, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._keep(sent, message, self._together_told)
        elif error.code() in OF_ANY_RECORD:
            self._again.append(sent)
        else:
            self._refuse(sent, error)

    def _reported_alone(self, sent: Sent, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._keep(sent, message, self._alone_told)
        else:
            self._refuse(sent, error)

    def _keep(self, sent: Sent, message: Message, offsets: ToldOffsets) -> None:
        row, topic = sent.row, sent.row.record.topic
        partition = message.partition() or 0  # every acknowledged record has one; the type does not say so
        offset = offsets.told(topic, partition, message.offset())
        now_ns = self._now_ns()
        self._acknowledged(
            Acknowledged(row.number, topic, partition, offset, row.record.key, sent.due_ns, sent.sent_ns, now_ns)
        )

    def _refuse(self, sent: Sent, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self.failure = error.str()
        self.refused += 1
        if len(self.refusals) < LISTED:
            self.refusals.append(Refusal(sent.row.line, sent.row.record.topic, error.str()))
