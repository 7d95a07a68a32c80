"""Fetches the metadata of the topics in use, before each commit."""

from collections.abc import Callable, Collection
from threading import Event, Thread

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_topics import describe_topics
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.metrics.service_calls import KAFKA, measured

TIMEOUT_S = 5.0

_log = logs.get(__name__)


class TopicWatch:
    """One thread, which calls `on_topics` with the metadata. `in_use` returns the topics of all consumers."""

    def __init__(
        self,
        kafka: KafkaConnection,
        *,
        interval_s: float,
        in_use: Callable[[], Collection[str]],
        on_topics: Callable[[Topics], None],
    ) -> None:
        self._client = kafka.admin(
            {"client.id": "webhookd-topics", "allow.auto.create.topics": False, "reconnect.backoff.max.ms": 2_000}
        )
        self._interval_s = interval_s
        self._in_use = in_use
        self._on_topics = on_topics
        self._stop = Event()
        self._thread = Thread(target=self._run, name="topic-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(TIMEOUT_S + 1.0)

    @measured(KAFKA, "topics", (KafkaException,))
    def describe(self, topics: Collection[str]) -> Topics:
        """Fetch the metadata of these topics. Blocks; any thread. Raises KafkaException when nothing answers."""
        return describe_topics(self._client, topics, TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                seen = self.describe(self._in_use())
            except KafkaException as error:
                reason = self._client.explain(error)
                _log.warning("topics_unknown", code=reason.code, detail=str(reason))
                continue
            except Exception:  # noqa: BLE001 - the top of the thread: without topic metadata no lane is confirmed any more
                _log.exception("topic_watch_failed")
                continue
            self._on_topics(seen)
