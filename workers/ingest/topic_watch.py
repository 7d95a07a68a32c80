"""What the cluster says about the topics: how many partitions each has, and which UUID; asked every few seconds."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Event, Thread

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from webhookd import logs
from webhookd.edges.kafka_topics import topic_ids

INTERVAL_S = 2.0
TIMEOUT_S = 5.0

_log = logs.get(__name__)
_library_log = logging.getLogger("librdkafka")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What was seen: `partitions` of every topic there is, `ids` of those in use (as far as the brokers say)."""

    partitions: dict[str, int]
    ids: dict[str, str]


class TopicWatch:
    """One thread; `saw` is called on it. `in_use` answers the topics whose UUIDs matter."""

    def __init__(
        self, bootstrap_servers: str, *, in_use: Callable[[], Collection[str]], saw: Callable[[Topics], None]
    ) -> None:
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "webhookd-topics",
        }
        self._client = AdminClient(config, logger=_library_log)
        self._in_use = in_use
        self._saw = saw
        self._stop = Event()
        self._thread = Thread(target=self._run, name="topic-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(TIMEOUT_S + 1.0)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self._saw(self._look())
            except KafkaException as error:
                _log.warning("topics_unknown", code="kafka_unavailable", detail=str(error))

    def _look(self) -> Topics:
        listed = self._client.list_topics(timeout=TIMEOUT_S).topics
        partitions = {name: len(topic.partitions) for name, topic in listed.items() if topic.error is None}
        wanted = [topic for topic in self._in_use() if topic in partitions]
        return Topics(partitions=partitions, ids=topic_ids(self._client, wanted, TIMEOUT_S))
