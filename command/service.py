"""The processes of the service, one command each; Procfile and docker-compose.yml have the same commands."""

import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from threading import Timer
from typing import Any

import click
from celery import bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from api.server import serve
from command import flower_server
from command.loading import load_settings
from command.open_files import raise_open_file_limit
from command.shutdown_signals import SECOND_SIGNAL, SIGNALS, ShutdownSignals
from command.switch_interval import set_switch_interval
from webhookd import __version__, logs
from webhookd.errors import ClusterMismatch, SchemaMismatch, StoreUnavailable
from webhookd.service_watch import ServiceWatch, watched_database, watched_redis
from webhookd.settings import Settings
from webhookd.store.migrating import upgrade
from webhookd.store.schema_watch import SchemaWatch
from workers.celery_app import build_celery
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

STUCK_EXIT_CODE = 70
"""EX_SOFTWARE, which differs from a requested stop, so that "restart on failure" restarts the worker."""

CLUSTER_EXIT_CODE = 78
"""EX_CONFIG: the settings name another Kafka cluster than the database's; a restart does not help."""

SCHEMA_EXIT_CODE = 1
"""The database has no tables or those of another version; a restart helps after `webhookd migrate`."""

AFTER_BUDGET_S = 12.0
"""How long ingest or a worker may take to end after its stop budget. Each of its threads may wait for a service that
does not answer. Supervisors are told to wait 15 s before they kill it."""

CELERY_STOP_S = 5.0
"""How long Celery may take to acknowledge and requeue tasks after their deliveries have ended; it needs about 0.1 s."""

_log = logs.get(__name__)


def _settings() -> Settings:
    settings = load_settings()
    logs.configure_process(settings.log_format, settings.log_level)
    _log.info("settings", version=__version__, **settings.changed())
    set_switch_interval()
    # Exclude imported modules from garbage collection: a full collection of them stops every thread for about 50 ms.
    gc.collect()
    gc.freeze()
    return settings


@click.command()
def migrate() -> None:
    """Upgrade the database's schema to the current version.

    It says from which revision to which, and does nothing when the schema is current. It exits with 1 when the database
    cannot be reached, or belongs to a newer version of webhookd.
    """
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    try:
        migrated = upgrade(settings.database_url)
    except StoreUnavailable as error:
        raise click.ClickException(f"the database cannot be migrated: {error.detail}") from None
    click.echo(str(migrated))


@click.command()
def api() -> None:
    """Serve the management API (gunicorn).

    It exits with 1 when the database has not the tables of this version, and with 78 when the brokers belong to another
    Kafka cluster than the database.
    """
    try:
        serve(_settings())
    except SchemaMismatch as error:
        sys.exit(_schema_exit_code(error))
    except ClusterMismatch as error:
        _log.error("cluster_mismatch", code=error.code, detail=error.detail)
        sys.exit(CLUSTER_EXIT_CODE)


@click.command()
def ingest() -> None:
    """Read Kafka for the active subscriptions, and publish deliveries for the workers.

    It exits with 1 when the database has not the tables of this version, and with 78 when the brokers belong to another
    Kafka cluster than the database.
    """
    settings = _settings()
    raise_open_file_limit()
    edges = build_edges(settings)
    # The first signal drains. A second one ends the process at once; nothing is lost.
    shutdown = ShutdownSignals()
    mismatches: list[ClusterMismatch | SchemaMismatch] = []

    def end(error: ClusterMismatch | SchemaMismatch) -> None:
        mismatches.append(error)
        shutdown.wake()

    schema = SchemaWatch(edges.database, end)
    _start_or_exit(schema)

    process = IngestProcess(settings, edges, build_celery(settings), end)
    process.start()
    shutdown.wait()
    exit_code = 0
    if mismatches:  # the log says so: cluster_mismatch
        exit_code = _schema_exit_code(mismatches[0]) if isinstance(mismatches[0], SchemaMismatch) else CLUSTER_EXIT_CODE
    budget_s = 0.0 if mismatches else settings.stop_budget_s
    _log.info("stopping", process="ingest", budget_s=budget_s, note=SECOND_SIGNAL)
    _exit_after(budget_s + AFTER_BUDGET_S, "ingest", exit_code)
    schema.stop()
    process.stop(budget_s)
    edges.close()
    _log.info("stopped", process="ingest")
    # A normal exit would wait for threads that are still waiting for a service.
    ShutdownSignals.exit_process(exit_code)


def _start_or_exit(schema: SchemaWatch) -> None:
    """Check the schema before anything else starts; end the process when the database has another one."""
    try:
        schema.start()
    except SchemaMismatch as error:
        sys.exit(_schema_exit_code(error))


def _schema_exit_code(error: SchemaMismatch) -> int:
    """Say in one line what the database has and what to do; return the exit code."""
    _log.error("schema_mismatch", code=error.code, detail=error.detail)
    return SCHEMA_EXIT_CODE


@click.command()
@click.option("--queue", type=click.Choice(sorted(QUEUES)), multiple=True, help="Which queue; both if not given.")
@click.option(
    "--threads",
    type=click.IntRange(1, 4096),
    help="Tasks carried out at the same time; WEBHOOKD_WORKER_THREADS if not given.",
)
def worker(queue: tuple[str, ...], threads: int | None) -> None:
    """Send deliveries: a Celery worker for first attempts, retries or both.

    SIGTERM and SIGINT stop it in order within WEBHOOKD_STOP_BUDGET_S; a second signal ends it at once. In both cases no
    record is lost. It exits with 70 when it was stuck, and with 1 when Celery could not continue, for example because
    Redis was killed, or when the database has not the tables of this version. After these exits it has to be started
    again.
    """
    settings = _settings()
    raise_open_file_limit()
    edges = build_edges(settings)
    _start_or_exit(SchemaWatch(edges.database, lambda error: ShutdownSignals.exit_process(_schema_exit_code(error))))
    process = WorkerProcess(settings, edges)
    watch = ServiceWatch(
        [watched_database(settings, edges.database.ping), watched_redis(settings, edges.coordination.ping)]
    )
    watch.start()
    # They advise to let Celery cancel running tasks when Redis is absent, which webhookd has decided against, and an
    # option that `webhookd worker` does not have.
    for category in (CPendingDeprecationWarning, SecurityWarning):
        warnings.simplefilter("ignore", category)
    names = queue or tuple(QUEUES)
    threads = threads or settings.worker_threads
    process.app.steps["worker"].add(HangUpStops)
    controllers: list[Any] = []
    signals.worker_init.connect(lambda sender, **_: controllers.append(sender), weak=False)
    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(lambda **_: _stop_on_signal(process, settings.stop_budget_s), weak=False)
    # The heartbeat must not start earlier: a worker that is still starting takes no tasks, and would count as stuck.
    signals.worker_ready.connect(
        lambda **_: _start_process(process, names, threads, settings.stop_budget_s), weak=False
    )
    process.app.worker_main(
        [
            "--quiet",  # without the banner
            "worker",
            f"--queues={','.join(QUEUES[name] for name in names)}",
            f"--concurrency={threads}",
            f"--hostname={'-'.join(names)}.%h.{os.getpid()}",
            "--loglevel=warning",
            "--without-mingle",
            "--without-gossip",
        ]
    )
    watch.stop()
    _log.info("stopped", process="worker")
    # Celery's command does not return the exit code.
    sys.exit(max((controller.exitcode or 0 for controller in controllers), default=0))


class HangUpStops(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Makes SIGHUP stop the worker, as it stops ingest. Celery would replace the process by one without a log."""

    def start(self, parent: object) -> None:
        """Install the handler of SIGTERM; Celery has installed its handlers by now, and does not consume yet."""
        del parent
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


def _start_process(process: WorkerProcess, names: Sequence[str], threads: int, budget_s: float) -> None:
    """Start heartbeat and task handler; called when Celery consumes the queues."""
    process.start(queues=[QUEUES[name] for name in names], threads=threads, stuck=lambda: _end_stuck(process, budget_s))
    _log.info("worker_ready", queues=list(names), threads=threads)


def _stop_on_signal(process: WorkerProcess, budget_s: float) -> None:
    """Stop on the first signal; called inside Celery's signal handler.

    Handlers run on the main thread, which also takes tasks, so none is taken from now on. When this returns the tasks
    have ended. Then Celery's own stop requeues the tasks that it has fetched but not started, countdowns included.
    """
    for number in (*SIGNALS, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    _log.info("stopping", process="worker", budget_s=budget_s, note=SECOND_SIGNAL)
    _exit_after(budget_s + AFTER_BUDGET_S, "worker")
    process.stop(budget_s)
    # An unreachable Redis delays Celery by 5 s for each task. The deliveries of tasks that are not requeued wait for
    # the end of their lease.
    _exit_after(CELERY_STOP_S, "worker")


def _exit_after(wait_s: float, process: str, exit_code: int = 0) -> None:
    """End the process after this time if it still runs. No record is lost; what is in flight is sent again."""

    def end() -> None:
        _log.warning("stop_cut_short", process=process, after_s=wait_s)
        ShutdownSignals.exit_process(exit_code)

    timer = Timer(wait_s, end)
    timer.daemon = True
    timer.start()


def _end_stuck(process: WorkerProcess, budget_s: float) -> None:
    """End a stuck worker: finish what is in progress, then exit without Celery's own stop, which may hang."""
    process.stop(budget_s)
    ShutdownSignals.exit_process(STUCK_EXIT_CODE)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    """Show workers and tasks in a browser (Flower); ARGUMENTS are passed to Flower.

    It listens on loopback, or on every address when WEBHOOKD_FLOWER_LOGIN sets a login. Its remote actions are off
    unless `--read_only=false` is among the arguments. Its HTTP API asks for the login too; on loopback it needs none.
    A signal ends it at once.
    """
    flower_server.run(_settings(), arguments)


def _keep_logging(**_: object) -> None:
    """Do nothing: because this signal has a receiver, Celery keeps the logging that webhookd has configured."""
