"""Asks Kafka about once a second whether it answers this process, and whether it is the database's cluster.

The id of the first cluster that answers is compared with the one in the database, and every later one with that: the
brokers behind an address may be replaced. Another cluster ends the watch, and the process with it.
"""

from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import ClusterMismatch, KafkaUnavailable, StoreUnavailable
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.store import kafka_cluster
from webhookd.store.database import Database

INTERVAL_S = 1.0
ASK_S = 3.0

_log = logs.get(__name__)


class Cluster(Protocol):
    """The brokers, as edges/kafka_reachability.py has them."""

    def cluster_id(self, timeout_s: float) -> str:
        """The cluster's id, empty without one to compare. Raises KafkaUnavailable. Blocks."""


class KafkaWatchCallbacks(Protocol):
    """What is told of each answer, on the watch's thread."""

    def kafka_confirmed(self) -> None:
        """This is the database's cluster; once, before anything is read from it."""

    def kafka_checked(self) -> None:
        """A question has ended: `reachability` says what it came to."""

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        """This is another cluster than the database's: nothing may be read from it, or committed to it."""


class KafkaWatch:
    """One thread; `reachability` is for every thread to read."""

    def __init__(
        self,
        cluster: Cluster,
        database: Database,
        heard: KafkaWatchCallbacks,
        *,
        monotonic: Monotonic,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.reachability = KafkaReachability()
        self._cluster = cluster
        self._database = database
        self._heard = heard
        self._monotonic = monotonic
        self._interval_s = interval_s
        self._expected: str | None = None
        self._asked = Event()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="kafka-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(ASK_S + 1.0)

    def wait_asked(self, timeout_s: float) -> bool:
        """Wait until the first question has ended; returns whether it has."""
        return self._asked.wait(timeout_s)

    def check(self) -> None:
        """Raises KafkaUnavailable when Kafka did not answer the last time; asks nobody."""
        if self.reachability.failing_since is not None:
            raise KafkaUnavailable(self.reachability.detail)

    def ask(self) -> None:
        """One question. Raises ClusterMismatch, and StoreUnavailable before the cluster is confirmed."""
        try:
            found = self._cluster.cluster_id(ASK_S)
        except KafkaUnavailable as error:
            self._failed(error)
        else:
            self._answered()
            self._confirm(found)
        self._asked.set()
        self._heard.kafka_checked()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.ask()
            except ClusterMismatch as error:
                self._heard.kafka_mismatched(error)
                return
            except StoreUnavailable as error:
                _log.warning("store_unavailable", code=error.code, detail=error.detail)
            except Exception:  # noqa: BLE001 - the top of the thread: the next question may go well
                _log.exception("kafka_watch_failed")
            self._stop.wait(self._interval_s)

    def _confirm(self, found: str) -> None:
        if self._expected is None:
            self._expected = self._recorded(found) if found else ""
            self._compare(found)
            _log.info("kafka_cluster", cluster=found)
            self._heard.kafka_confirmed()
        self._compare(found)

    def _recorded(self, found: str) -> str:
        with self._database.transaction() as session:
            return kafka_cluster.record(session, found)

    def _compare(self, found: str) -> None:
        if found != self._expected:
            raise ClusterMismatch(kafka_cluster.mismatch(found, self._expected or ""))

    def _answered(self) -> None:
        before, now = self.reachability, self._monotonic()
        self.reachability = before.answered(now)
        if before.failing_since is not None:
            _log.warning("kafka_answers_again", silent_s=round(before.unreachable_s(now), 3))

    def _failed(self, error: KafkaUnavailable) -> None:
        before = self.reachability
        self.reachability = before.failed(self._monotonic(), error.detail or str(error))
        if before.failing_since is None:
            _log.warning("kafka_silent", code=error.code, detail=error.detail)
