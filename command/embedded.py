"""The embedded default: API, ingest and a Celery worker in this one process, over the same code as the service's.

The settings choose the edges: an in-memory queue and board (`redis_url="memory://"`) and SQLite in a file. What the
memory holds dies with the process and is made good from Kafka: the committed offsets are the only state that counts.

    __init__   schema, API                    a subscription can be registered before anything runs
    start      worker, ingest                 who is called is there before who calls
    stop       ingest (drains), what is being sent, worker, API, edges
"""

from api.application import create_app
from api.server import serve_embedded
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.errors import ClusterMismatch
from webhookd.settings import Settings
from webhookd.store.migrating import upgrade
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.embedded_worker import EmbeddedWorker
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

THREADS = 64
"""Parcels under way at once; threads only wait, and one subscription has few lanes that can."""

WORKER_STOP_S = 10.0


class EmbeddedService:
    """One process' webhookd; `stop` it, whatever happened."""

    def __init__(self, settings: Settings) -> None:
        upgrade(settings.database_url)
        self._edges = build_edges(settings)
        self._notifier = ChangeNotifier(settings.redis_url, key_prefix=settings.redis_key_prefix)
        self._process = WorkerProcess(settings, self._edges)
        self._worker = EmbeddedWorker(self._process.app, THREADS)
        self.mismatch: ClusterMismatch | None = None
        """Set when the brokers turn out to be another cluster's than the database's: nothing is read then."""
        self._ingest = IngestProcess(
            settings, self._edges, self._process.app, lambda error: setattr(self, "mismatch", error)
        )
        self._started = False
        app = create_app(
            settings,
            database=self._edges.database,
            kafka_offsets=KafkaAdmin(settings.kafka_bootstrap_servers),
            notifier=self._notifier,
            coordination=self._edges.coordination,
        )
        self._api = serve_embedded(app)
        self.api_url = f"http://127.0.0.1:{self._api.port}"

    @property
    def alive(self) -> bool:
        """Whether the worker still works, and ingest may read."""
        return self._worker.alive and self.mismatch is None

    def start(self) -> None:
        """Run what is registered. Raises QueueUnavailable when the worker does not come up."""
        self._worker.start()
        # The lengths of the embedded queues are unknown, so the worker never counts as stuck.
        self._process.start(queues=list(QUEUES.values()), threads=THREADS, stuck=lambda: None)
        self._started = True
        self._ingest.start()

    def stop(self, drain_s: float) -> None:
        """Settle and commit what is being sent within `drain_s`, and end every thread; what is not is sent again."""
        if self._started:
            self._ingest.stop(drain_s)
        self._process.stop(1.0)
        self._worker.stop(WORKER_STOP_S)
        self._api.stop()
        self._notifier.close()
        self._edges.close()
