"""`webhookd ingest`: runs an ingest process."""

import click

from command.open_files import raise_open_file_limit
from command.process_start import CLUSTER_EXIT_CODE, process_settings, schema_exit_code, start_or_exit
from command.process_stop import AFTER_BUDGET_S, exit_after
from command.shutdown_signals import SECOND_SIGNAL, ShutdownSignals
from webhookd import logs
from webhookd.errors import ClusterMismatch, SchemaMismatch
from webhookd.metrics.declaration import Process
from webhookd.metrics_server import MetricsServer
from webhookd.store.schema_watch import SchemaWatch
from workers.celery_app import build_celery
from workers.edges import build_edges
from workers.ingest.process import IngestProcess

_log = logs.get(__name__)


@click.command()
def ingest() -> None:
    """Read Kafka for the active subscriptions, and publish deliveries for the workers.

    It exits with 1 when the database does not have the tables of this version, and with 78 when the brokers belong to
    another Kafka cluster than the database.
    """
    settings = process_settings()
    raise_open_file_limit()
    edges = build_edges(settings)
    # The first signal drains. A second one ends the process at once; nothing is lost.
    shutdown = ShutdownSignals()
    mismatches: list[ClusterMismatch | SchemaMismatch] = []

    def end(error: ClusterMismatch | SchemaMismatch) -> None:
        mismatches.append(error)
        shutdown.wake()

    schema = SchemaWatch(edges.database, end)
    start_or_exit(schema)

    metrics = MetricsServer(settings, frozenset({Process.INGEST}))
    process = IngestProcess(settings, edges, build_celery(settings), end, metrics.sources)
    metrics.start()
    process.start()
    shutdown.wait()
    exit_code = 0
    if mismatches:  # the log says so: cluster_mismatch
        exit_code = schema_exit_code(mismatches[0]) if isinstance(mismatches[0], SchemaMismatch) else CLUSTER_EXIT_CODE
    budget_s = 0.0 if mismatches else settings.stop_budget_s
    _log.info("stopping", process="ingest", budget_s=budget_s, note=SECOND_SIGNAL)
    exit_after(budget_s + AFTER_BUDGET_S, "ingest", exit_code)
    schema.stop()
    process.stop(budget_s)
    metrics.stop()
    edges.close()
    _log.info("stopped", process="ingest")
    # A normal exit would wait for threads that are still waiting for a service.
    ShutdownSignals.exit_process(exit_code)
