"""Copies dead letters to a Kafka topic: the original key, value and headers, and headers with the cause.

Each record has these headers in addition to its own, in UTF-8: `webhookd-subscription`, `webhookd-topic`,
`webhookd-partition`, `webhookd-offset`, `webhookd-cause`, `webhookd-status` (absent without a response) and
`webhookd-attempts`. Copies are written at least once: after a crash a dead letter may be in the topic twice, with the
same topic, partition and offset in its headers.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from webhookd import logs
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.dead_letter import CopyFailure, DeadLetter, FailedCopy
from webhookd.metrics.service_calls import KAFKA, MeasuredCall, call_failed

FAILURES: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: CopyFailure.MISSING,
    KafkaError._UNKNOWN_TOPIC: CopyFailure.MISSING,  # noqa: SLF001  # librdkafka's own codes begin with an underscore
    KafkaError._UNKNOWN_PARTITION: CopyFailure.MISSING,  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: CopyFailure.DENIED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: CopyFailure.DENIED,
    KafkaError.INVALID_RECORD: CopyFailure.REFUSED,
    KafkaError.POLICY_VIOLATION: CopyFailure.REFUSED,
    KafkaError.MSG_SIZE_TOO_LARGE: CopyFailure.TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: CopyFailure.TOO_LARGE,
}
"""Why brokers or librdkafka refused one record; every other error counts as no answer."""

MESSAGE_BYTES = 1_000_000_000
"""The largest message that the client sends. The topic's own limit decides, not the client's default of 1 MB."""

DELIVERY_TIMEOUT_S = 5.0
METADATA_TIMEOUT_S = 1.0
"""Timeout of one metadata request about a topic that did not accept records in time."""

CONFIG: Final[Mapping[str, Any]] = {
    "client.id": "webhookd-dead-letters",
    "enable.idempotence": True,
    "message.max.bytes": MESSAGE_BYTES,
    # A broker refuses a whole batch because of one record, so each record is a batch of its own.
    "batch.num.messages": 1,
    # A short timeout, because records in this queue cannot be withdrawn. The caller tries again.
    "message.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
    "allow.auto.create.topics": False,
}

_log = logs.get(__name__)


class DeadLetterTopics:
    """Produces dead letters and waits for the brokers' acknowledgement. Connects on first use; one thread."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._kafka = kafka
        self._producer: Producer | None = None

    def append(self, topic: str, dead_letters: Sequence[DeadLetter], timeout_s: float) -> list[FailedCopy]:
        """Write the dead letters in order and wait until all in-sync replicas have them. Blocks.

        Returns those that the topic did not accept. A dead letter without an answer in time may still be in the topic.
        """
        producer = self._open()
        with MeasuredCall(KAFKA, "produce"):
            failed, reported = _produce_all(producer, topic, dead_letters, timeout_s)
        if any(error.fatal() for error in failed.values()):
            self._producer = None  # a fatal error: this producer cannot be used any more
        left = [index for index in range(len(dead_letters)) if index in failed or index not in reported]
        if not left:
            return []
        _log.warning(
            "dead_letters_not_copied", topic=topic, count=len(left), detail=str(next(iter(failed.values()), ""))
        )
        copies = self._with_reasons(producer, topic, [(dead_letters[index], failed.get(index)) for index in left])
        if any(copy.failure is CopyFailure.NO_ANSWER for copy in copies):
            call_failed(KAFKA, "produce")
        return copies

    def _with_reasons(
        self, producer: Producer, topic: str, left: Sequence[tuple[DeadLetter, KafkaError | None]]
    ) -> list[FailedCopy]:
        failures = [FAILURES.get(error.code(), CopyFailure.NO_ANSWER) if error else None for _, error in left]
        if all(failure in {None, CopyFailure.NO_ANSWER} for failure in failures):
            # For a missing topic librdkafka reports only a timeout, so ask for the topic's metadata.
            unexplained = _topic_failure(producer, topic)
        else:
            unexplained = CopyFailure.NO_ANSWER
        return [
            FailedCopy(dead_letter, unexplained if failure in {None, CopyFailure.NO_ANSWER} else failure)
            for (dead_letter, _), failure in zip(left, failures, strict=True)
        ]

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = self._kafka.producer(CONFIG)
        return self._producer


def _produce_all(
    producer: Producer, topic: str, dead_letters: Sequence[DeadLetter], timeout_s: float
) -> tuple[dict[int, KafkaError], set[int]]:
    """Produce and wait; returns the errors by index, and the indexes of all records with a delivery report."""
    failed: dict[int, KafkaError] = {}
    reported: set[int] = set()

    def on_delivery(index: int, error: KafkaError | None, _message: Message) -> None:
        reported.add(index)
        if error is not None:
            failed[index] = error

    for index, dead_letter in enumerate(dead_letters):
        try:
            producer.produce(
                topic,
                dead_letter.value,
                dead_letter.key,
                headers=_headers(dead_letter),
                on_delivery=partial(on_delivery, index),
            )
        except KafkaException as error:
            on_delivery(index, error.args[0], Message())
        except BufferError:  # librdkafka's queue is full: the next call sends the rest
            break
    producer.flush(timeout_s)
    return failed, reported


def _topic_failure(producer: Producer, topic: str) -> CopyFailure:
    try:
        error = producer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic].error
    except KafkaException:
        return CopyFailure.NO_ANSWER
    return FAILURES.get(error.code(), CopyFailure.NO_ANSWER) if error else CopyFailure.NO_ANSWER


def _headers(dead_letter: DeadLetter) -> list[tuple[str, str | bytes | None]]:
    facts = {
        "webhookd-subscription": dead_letter.subscription_id,
        "webhookd-topic": dead_letter.partition.topic,
        "webhookd-partition": str(dead_letter.partition.number),
        "webhookd-offset": str(dead_letter.offset),
        "webhookd-cause": dead_letter.cause,
        "webhookd-attempts": str(dead_letter.attempts),
    }
    if dead_letter.status is not None:
        facts["webhookd-status"] = str(dead_letter.status)
    return [*dead_letter.headers, *((name, text.encode()) for name, text in facts.items())]
