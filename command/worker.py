"""`webhookd worker`: runs a Celery worker that sends deliveries."""

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click
from celery import bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from command.open_files import raise_open_file_limit
from command.process_start import process_settings, schema_exit_code, start_or_exit, warn_without_secret_keys
from command.process_stop import AFTER_BUDGET_S, exit_after
from command.shutdown_signals import SECOND_SIGNAL, SIGNALS, ShutdownSignals
from webhookd import logs
from webhookd.metrics.declaration import Process
from webhookd.metrics_server import MetricsServer
from webhookd.service_watch import ServiceWatch, watched_database, watched_redis
from webhookd.store.schema_watch import SchemaWatch
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.task_names import QUEUES

STUCK_EXIT_CODE = 70
"""EX_SOFTWARE, which differs from a requested stop, so that "restart on failure" restarts the worker."""

CELERY_STOP_S = 5.0
"""How long Celery may take to acknowledge and requeue tasks after their deliveries have ended; it needs about 0.1 s."""

_log = logs.get(__name__)


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
    Redis was killed, or when the database does not have the tables of this version. After these exits it has to be
    started again.
    """
    settings = process_settings()
    warn_without_secret_keys(settings)
    raise_open_file_limit()
    edges = build_edges(settings)
    start_or_exit(SchemaWatch(edges.database, lambda error: ShutdownSignals.exit_process(schema_exit_code(error))))
    metrics = MetricsServer(settings, frozenset({Process.WORKER}))
    process = WorkerProcess(settings, edges)
    watch = ServiceWatch(
        [watched_database(settings, edges.database.ping), watched_redis(settings, edges.coordination.ping)]
    )
    watch.start()
    metrics.start()
    # It advises an option that `webhookd worker` does not have.
    warnings.simplefilter("ignore", SecurityWarning)
    names = queue or tuple(QUEUES)
    threads = threads or settings.worker_threads
    process.app.steps["worker"].add(WorkerSetup)
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
    metrics.stop()
    _log.info("stopped", process="worker")
    # Celery's command does not return the exit code.
    sys.exit(max((controller.exitcode or 0 for controller in controllers), default=0))


class WorkerSetup(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Runs when Celery has set up its signals and warnings, and does not consume yet."""

    def start(self, parent: object) -> None:
        """Stop on SIGHUP, as ingest does: Celery would replace the process by one that writes nowhere.

        Drop advice to let Celery cancel running tasks when Redis is absent: webhookd has decided against it.
        """
        del parent
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
        warnings.simplefilter("ignore", CPendingDeprecationWarning)


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
    exit_after(budget_s + AFTER_BUDGET_S, "worker")
    _log.info("stopping", process="worker", budget_s=budget_s, note=SECOND_SIGNAL)
    process.stop(budget_s)
    # An unreachable Redis delays Celery by 5 s for each task. The deliveries of tasks that are not requeued wait for
    # the end of their lease.
    exit_after(CELERY_STOP_S, "worker")


def _end_stuck(process: WorkerProcess, budget_s: float) -> None:
    """End a stuck worker: finish what is in progress, then exit without Celery's own stop, which may hang."""
    process.stop(budget_s)
    ShutdownSignals.exit_process(STUCK_EXIT_CODE)


def _keep_logging(**_: object) -> None:
    """Do nothing: because this signal has a receiver, Celery keeps the logging that webhookd has configured."""
