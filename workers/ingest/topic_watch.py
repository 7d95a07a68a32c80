"""How many partitions each topic has: asked of the cluster every few seconds, for the status."""

import logging
from collections.abc import Callable, Mapping
from threading import Event, Thread

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from webhookd import logs

INTERVAL_S = 2.0
TIMEOUT_S = 5.0

_log = logs.get(__name__)
_library_log = logging.getLogger("librdkafka")


class TopicWatch:
    """One thread; `saw` is called on it with the partition counts of every topic there is."""

    def __init__(self, bootstrap_servers: str, saw: Callable[[Mapping[str, int]], None]) -> None:
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "webhookd-topics",
        }
        self._client = AdminClient(config, logger=_library_log)
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
                topics = self._client.list_topics(timeout=TIMEOUT_S).topics
            except KafkaException as error:
                _log.warning("topics_unknown", code="kafka_unavailable", detail=str(error))
                continue
            self._saw({name: len(topic.partitions) for name, topic in topics.items() if topic.error is None})
