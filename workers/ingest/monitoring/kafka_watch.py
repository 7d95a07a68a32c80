"""Probes Kafka about once a second: whether it answers this process, and whether it is the database's cluster.

The id that the brokers return first is compared with the id in the database, and every later id too, because the
brokers behind an address may be replaced. If the cluster is another one, the watch and the process end.
"""

from threading import Event, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import ClusterMismatch, KafkaAuthenticationFailed, KafkaUnavailable, StoreUnavailable
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.store import kafka_cluster
from webhookd.store.database import Database

INTERVAL_S = 1.0
PROBE_S = 3.0

_log = logs.get(__name__)


class Cluster(Protocol):
    """The brokers; edges/kafka_reachability.py implements it."""

    def cluster_id(self, timeout_s: float) -> str:
        """Return the cluster's id, empty if it has none. Raises KafkaUnavailable. Blocks."""


class KafkaWatchCallbacks(Protocol):
    """Called with the results of the probes, on the watch's thread."""

    def kafka_confirmed(self) -> None:
        """This is the database's cluster. Called once, before anything is read from the cluster."""

    def kafka_checked(self) -> None:
        """A probe has ended; `reachability` has its result."""

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        """This is not the database's cluster: nothing may be read from it or committed to it."""


class KafkaWatch:
    """One thread; any thread may read `reachability`."""

    def __init__(
        self,
        cluster: Cluster,
        database: Database,
        callbacks: KafkaWatchCallbacks,
        *,
        monotonic: Monotonic,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.reachability = KafkaReachability()
        self._cluster = cluster
        self._database = database
        self._callbacks = callbacks
        self._monotonic = monotonic
        self._interval_s = interval_s
        self._expected: str | None = None
        self._probed = Event()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="kafka-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(PROBE_S + 1.0)

    def wait_first_probe(self, timeout_s: float) -> bool:
        """Wait until the first probe has ended; return whether it has."""
        return self._probed.wait(timeout_s)

    def check_answers(self) -> None:
        """Raises KafkaUnavailable when no broker answered the last probe; starts no probe."""
        if self.reachability.failing_since is not None and not self._refused:
            raise KafkaUnavailable(self.reachability.detail)

    def check_accepts(self) -> None:
        """Raises KafkaAuthenticationFailed when a login or a certificate was refused in the last probe."""
        if self._refused:
            raise KafkaAuthenticationFailed(self.reachability.detail)

    def probe(self) -> None:
        """Probe once. Raises ClusterMismatch, and StoreUnavailable before the cluster is confirmed. Blocks."""
        try:
            found = self._cluster.cluster_id(PROBE_S)
        except KafkaUnavailable as error:
            self._failed(error)
        else:
            self._answered()
            self._confirm(found)
        self._probed.set()
        self._callbacks.kafka_checked()

    @property
    def _refused(self) -> bool:
        now = self.reachability
        return now.failing_since is not None and now.code == KafkaAuthenticationFailed.code

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.probe()
            except ClusterMismatch as error:
                self._callbacks.kafka_mismatched(error)
                return
            except StoreUnavailable as error:
                _log.warning("store_unavailable", code=error.code, detail=error.detail)
            except Exception:  # noqa: BLE001 - the top of the thread: the next probe may succeed
                _log.exception("kafka_watch_failed")
            self._stop.wait(self._interval_s)

    def _confirm(self, found: str) -> None:
        if self._expected is None:
            self._expected = self._recorded(found) if found else ""
            self._compare(found)
            _log.info("kafka_cluster", cluster=found)
            self._callbacks.kafka_confirmed()
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
            _log.warning("kafka_reachable_again", unreachable_s=round(before.unreachable_s(now), 3))

    def _failed(self, error: KafkaUnavailable) -> None:
        before = self.reachability
        self.reachability = now = before.failed(self._monotonic(), error.detail or str(error), error.code)
        if before.failing_since is None or before.code != now.code:
            _log.warning("kafka_unreachable", code=now.code, detail=now.detail)
