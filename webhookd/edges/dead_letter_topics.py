"""Dead letters as records of a Kafka topic: the original key, value and headers, and why they are there.

Each record has these headers besides its own, in UTF-8: `webhookd-subscription`, `webhookd-topic`,
`webhookd-partition`, `webhookd-offset`, `webhookd-cause`, `webhookd-status` (absent without an answer) and
`webhookd-attempts`. At least once: after a crash a letter may be there twice, with the same position.
"""

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from webhookd import logs
from webhookd.errors import KafkaUnavailable
from webhookd.flow.dead_letter import DeadLetter

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
MESSAGE_BYTES = 1_000_000_000
"""The topic's own limit decides, not the client's default of a megabyte: a record of that size came out of Kafka."""

_log = logs.get(__name__)
_library_log = logging.getLogger("librdkafka")


class DeadLetterTopics:
    """A producer that waits for the brokers' acknowledgement; made on first use, for one thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: Producer | None = None

    def append(self, topic: str, letters: Sequence[DeadLetter], timeout_s: float) -> None:
        """Write the letters in their order, and wait until all in-sync replicas have them.

        One that is too large for the topic stays out of it: its row in the database is all there is, which is logged.
        Raises KafkaUnavailable when the answer cannot be had in time; some of them may be there all the same.
        """
        producer = self._open()
        failed: list[KafkaError] = []

        def answered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        for letter in letters:
            try:
                producer.produce(topic, letter.value, letter.key, headers=_headers(letter), on_delivery=answered)
            except KafkaException as error:
                failed.append(error.args[0])
        unanswered = producer.flush(timeout_s)
        if any(error.fatal() for error in failed):
            self._producer = None  # it takes nothing more; the next one does
        lasting = [error for error in failed if error.code() not in TOO_LARGE]
        if lasting or unanswered:
            raise KafkaUnavailable(f"{topic}: {lasting[0].str() if lasting else 'no answer in time'}")
        if failed:
            _log.error("dead_letter_too_large", code="dead_letter_too_large", topic=topic, count=len(failed))

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self._bootstrap_servers,
                    "client.id": "webhookd-dead-letters",
                    "enable.idempotence": True,
                    "message.max.bytes": MESSAGE_BYTES,
                    # Given up soon, and tried again by who asked: what waits in here cannot be taken back.
                    "message.timeout.ms": 5_000,
                    "allow.auto.create.topics": False,
                },
                logger=_library_log,
            )
        return self._producer


def _headers(letter: DeadLetter) -> list[tuple[str, str | bytes | None]]:
    facts = {
        "webhookd-subscription": letter.subscription_id,
        "webhookd-topic": letter.partition.topic,
        "webhookd-partition": str(letter.partition.number),
        "webhookd-offset": str(letter.offset),
        "webhookd-cause": letter.cause,
        "webhookd-attempts": str(letter.attempts),
    }
    if letter.status is not None:
        facts["webhookd-status"] = str(letter.status)
    return [*letter.headers, *((name, text.encode()) for name, text in facts.items())]
