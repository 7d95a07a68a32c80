"""The processes of the service, one command each; Procfile and docker-compose.yml have the same commands."""

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from threading import Timer
from typing import Any

import click
from celery import signals

from api.server import serve
from command import flower_server
from command.shutdown_signals import SIGNALS, ShutdownSignals
from command.switch_interval import set_switch_interval
from webhookd import logs
from webhookd.errors import ClusterMismatch, NoTemporaryDirectory, UnusableSetting
from webhookd.settings import PREFIX, Settings
from webhookd.store.migrating import upgrade
from workers.celery_app import build_celery
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

MAX_OPEN_FILES = 1 << 20
"""The highest limit of open files to request: the hard limit may be infinite, which is not valid as a soft limit."""

STUCK_EXIT_CODE = 70
"""EX_SOFTWARE, which differs from a requested stop, so that "restart on failure" restarts the worker."""

CLUSTER_EXIT_CODE = 78
"""EX_CONFIG: the settings name another Kafka cluster than the database's; a restart does not help."""

AFTER_BUDGET_S = 12.0
"""How long ingest or a worker may take to end after its stop budget. Each of its threads may wait for a service that
does not answer. Supervisors are told to wait 15 s before they kill it."""

CELERY_STOP_S = 5.0
"""How long Celery may take to acknowledge and requeue tasks after their deliveries have ended; it needs about 0.1 s."""

_log = logs.get(__name__)


def raise_open_file_limit() -> None:
    """Raise the limit of open files as far as allowed: the consumer of each subscription needs about 20 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        _log.info("open_files_raised", limit=most, before=soft)


def _settings() -> Settings:
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    _log.info("settings", **settings.shown())
    set_switch_interval()
    # Exclude imported modules from garbage collection: a full collection of them stops every thread for about 50 ms.
    gc.collect()
    gc.freeze()
    return settings


@click.command()
def migrate() -> None:
    """Upgrade the database's schema to the current version."""
    settings = _settings()
    upgrade(settings.database_url)


@click.command()
def api() -> None:
    """Serve the management API (gunicorn)."""
    try:
        serve(Settings())
    except NoTemporaryDirectory as error:
        raise click.ClickException(str(error)) from None


@click.command()
def ingest() -> None:
    """Read Kafka for the active subscriptions, and publish deliveries for the workers.

    It exits with 78 when the brokers belong to another Kafka cluster than the database.
    """
    settings = _settings()
    raise_open_file_limit()
    edges = build_edges(settings)
    # The first signal drains. A second one ends the process at once; nothing is lost.
    shutdown = ShutdownSignals()
    mismatches: list[ClusterMismatch] = []

    def end(error: ClusterMismatch) -> None:
        mismatches.append(error)
        shutdown.wake()

    try:
        process = IngestProcess(settings, edges, build_celery(settings), end)
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    process.start()
    shutdown.wait()
    exit_code = CLUSTER_EXIT_CODE if mismatches else 0
    budget_s = 0.0 if mismatches else settings.stop_budget_s
    _exit_after(budget_s + AFTER_BUDGET_S, "ingest", exit_code)
    process.stop(budget_s)
    edges.close()
    if mismatches:
        click.echo(f"webhookd ingest: {mismatches[0]}", err=True)
    # A normal exit would wait for threads that are still waiting for a service.
    ShutdownSignals.exit_process(exit_code)


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
    Redis was killed. After these exits it has to be started again.
    """
    settings = _settings()
    raise_open_file_limit()
    edges = build_edges(settings)
    try:
        process = WorkerProcess(settings, edges)
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    names = queue or tuple(QUEUES)
    threads = threads or settings.worker_threads
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
            "worker",
            f"--queues={','.join(QUEUES[name] for name in names)}",
            f"--concurrency={threads}",
            f"--hostname={'-'.join(names)}.%h.{os.getpid()}",
            "--loglevel=warning",
            "--without-mingle",
            "--without-gossip",
        ]
    )
    # Celery's command does not return the exit code.
    sys.exit(max((controller.exitcode or 0 for controller in controllers), default=0))


def _start_process(process: WorkerProcess, names: Sequence[str], threads: int, budget_s: float) -> None:
    """Start heartbeat and task handler; called when Celery consumes the queues."""
    process.start(queues=[QUEUES[name] for name in names], threads=threads, stuck=lambda: _end_stuck(process, budget_s))


def _stop_on_signal(process: WorkerProcess, budget_s: float) -> None:
    """Stop on the first signal; called inside Celery's signal handler.

    Handlers run on the main thread, which also takes tasks, so none is taken from now on. When this returns the tasks
    have ended. Then Celery's own stop requeues the tasks that it has fetched but not started, countdowns included.
    """
    for number in (*SIGNALS, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    _log.info("worker_stopping", budget_s=budget_s)
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


@click.command()
def settings() -> None:
    """List the environment variables that the processes read: their values, and what each is for."""
    values = Settings().shown()
    for subject in Settings.subjects():
        click.echo(f"# {subject.title()}")
        for name, field in subject.model_fields.items():
            click.echo(f"{PREFIX}{name.upper()}={values[name]}\n    {field.description}")
        click.echo()


def _keep_logging(**_: object) -> None:
    """Do nothing: because this signal has a receiver, Celery keeps the logging that webhookd has configured."""
