"""The embedded service: API, ingest and a Celery worker in one process, with the same code as the service.

The settings choose the edges: an in-memory queue and coordination store (`redis_url="memory://"`) and SQLite in a file.
The state in memory is lost with the process. That loses no record: reading continues at the offsets committed in Kafka.

    __init__   schema, API                    a subscription can be registered before anything runs
    start      worker, ingest                 the worker consumes before ingest publishes
    stop       ingest (drains), deliveries in progress, worker, API, edges
"""

from api.application import create_app
from api.embedded_server import serve_embedded
from command.stored_secrets import rotate_all
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.redis_settings import address_of
from webhookd.errors import ClusterMismatch
from webhookd.metrics.declaration import EVERY
from webhookd.metrics_server import MetricsServer
from webhookd.settings import Settings
from webhookd.store.migrating import upgrade
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.embedded_worker import EmbeddedWorker
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

THREADS = 64
"""The most tasks in progress at the same time. The threads mostly wait, and a subscription has few lanes."""

WORKER_STOP_S = 10.0

BIND = "127.0.0.1:8080"
"""The address in its settings, whatever the environment has for `webhookd api`: it listens on a free port of loopback,
without API keys."""


class EmbeddedService:
    """webhookd in one process. Call `stop` even if `start` was not called or has failed."""

    def __init__(self, settings: Settings) -> None:
        upgrade(settings.database_url)
        self._edges = build_edges(settings)
        rotate_all(self._edges.database)  # an earlier version has stored header values that are not encrypted
        self._metrics = MetricsServer(settings, EVERY)
        self._notifier = ChangeNotifier(address_of(settings), key_prefix=settings.redis_key_prefix)
        self._process = WorkerProcess(settings, self._edges, self._metrics.sources)
        self._worker = EmbeddedWorker(self._process.app, THREADS)
        self.mismatch: ClusterMismatch | None = None
        """The error if the brokers belong to another cluster than the one in the database; then nothing is read."""
        self._ingest = IngestProcess(
            settings,
            self._edges,
            self._process.app,
            lambda error: setattr(self, "mismatch", error),
            self._metrics.sources,
        )
        self._started = False
        app = create_app(
            settings,
            database=self._edges.database,
            kafka_offsets=KafkaAdmin(KafkaConnection.of(settings)),
            notifier=self._notifier,
            coordination=self._edges.coordination,
        )
        self._api = serve_embedded(app)
        self.api_url = f"http://127.0.0.1:{self._api.port}"

    @property
    def alive(self) -> bool:
        """Whether the worker runs and ingest may read."""
        return self._worker.alive and self.mismatch is None

    def start(self) -> None:
        """Start worker and ingest. Raises QueueUnavailable when the worker does not start."""
        self._worker.start()
        # The length of the in-memory queues is unknown, so a stuck worker is never detected.
        self._process.start(queues=list(QUEUES.values()), threads=THREADS, stuck=lambda: None)
        self._started = True
        self._metrics.start()
        self._ingest.start()

    def stop(self, drain_s: float) -> None:
        """Settle and commit deliveries in flight within `drain_s`, then end all threads. The rest is sent later."""
        if self._started:
            self._ingest.stop(drain_s)
        self._process.stop(1.0)
        self._worker.stop(WORKER_STOP_S)
        self._api.stop()
        self._metrics.stop()
        self._notifier.close()
        self._edges.close()
