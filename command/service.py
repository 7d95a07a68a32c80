"""The processes of the service, one command each; the same lines stand in the Procfile and in docker-compose.yml."""

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
from command.shutdown_signals import SIGNALS, ShutdownSignals
from command.switch_interval import share_between_threads
from webhookd import logs
from webhookd.errors import ClusterMismatch, UnusableSetting
from webhookd.settings import PREFIX, Settings
from webhookd.store.migrating import upgrade
from workers.celery_app import build_celery
from workers.delivery.process import WorkerProcess
from workers.edges import build_edges
from workers.ingest.process import IngestProcess
from workers.task_names import QUEUES

FILES = 1 << 20
"""Open files asked for at most: a hard limit may be infinite, which no system grants as a soft one."""

STUCK_EXIT_CODE = 70
"""EX_SOFTWARE: told apart from a stop that was asked for, so that "restart on failure" restarts."""

CLUSTER_EXIT_CODE = 78
"""EX_CONFIG: the settings lead to another Kafka cluster than the database's, which no restart mends."""

CELERY_STOP_S = 5.0
"""What Celery gets to acknowledge and put back tasks when their deliveries have ended; it needs some 0.1 s."""

_log = logs.get(__name__)


def open_many_files() -> None:
    """Let this process open as many files as it may: a subscription's consumer alone needs some 20 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        _log.info("open_files_raised", limit=most, before=soft)


def _settings() -> Settings:
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    _log.info("settings", **settings.shown())
    share_between_threads()
    # What was imported stays: a full collection that walks over it stops every thread for some 50 ms.
    gc.collect()
    gc.freeze()
    return settings


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    settings = _settings()
    upgrade(settings.database_url)


@click.command()
def api() -> None:
    """Serve the management API (gunicorn)."""
    serve(Settings())


@click.command()
def ingest() -> None:
    """Read Kafka for the active subscriptions, and publish deliveries for the workers.

    It exits with 78 when the brokers belong to another Kafka cluster than the database.
    """
    settings = _settings()
    open_many_files()
    edges = build_edges(settings)
    # The first signal drains; a second one ends the process at once, which loses nothing.
    interruption = ShutdownSignals()
    mismatches: list[ClusterMismatch] = []

    def end(error: ClusterMismatch) -> None:
        mismatches.append(error)
        interruption.wake()

    try:
        process = IngestProcess(settings, edges, build_celery(settings), end)
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    process.start()
    interruption.wait()
    process.stop(0.0 if mismatches else settings.stop_budget_s)
    edges.close()
    if mismatches:
        click.echo(f"webhookd ingest: {mismatches[0]}", err=True)
        sys.exit(CLUSTER_EXIT_CODE)


@click.command()
@click.option("--queue", type=click.Choice(sorted(QUEUES)), multiple=True, help="Which queue; both if not given.")
@click.option(
    "--threads",
    type=click.IntRange(1, 4096),
    help="Tasks carried out at the same time; WEBHOOKD_WORKER_THREADS if not given.",
)
def worker(queue: tuple[str, ...], threads: int | None) -> None:
    """Send deliveries: a Celery worker for first attempts, retries or both.

    SIGTERM and SIGINT stop it in order and within WEBHOOKD_STOP_BUDGET_S; a second one ends it at once. Neither loses
    a record. It exits with 70 when it was stuck, and with 1 when Celery could not go on, because Redis was killed, for
    instance. In both cases it has to be started again.
    """
    settings = _settings()
    open_many_files()
    edges = build_edges(settings)
    try:
        process = WorkerProcess(settings, edges)
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    names = queue or tuple(QUEUES)
    slots = threads or settings.worker_threads
    controllers: list[Any] = []
    signals.worker_init.connect(lambda sender, **_: controllers.append(sender), weak=False)
    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(lambda **_: _stop(process, settings.stop_budget_s), weak=False)
    # Not before: a start that takes long, on a busy machine, is not deafness, and has no slots to announce.
    signals.worker_ready.connect(lambda **_: _watch(process, names, slots, settings.stop_budget_s), weak=False)
    process.app.worker_main(
        [
            "worker",
            f"--queues={','.join(QUEUES[name] for name in names)}",
            f"--concurrency={slots}",
            f"--hostname={'-'.join(names)}.%h.{os.getpid()}",
            "--loglevel=warning",
            "--without-mingle",
            "--without-gossip",
        ]
    )
    # Celery's command drops what it ended with.
    sys.exit(max((controller.exitcode or 0 for controller in controllers), default=0))


def _watch(process: WorkerProcess, names: Sequence[str], slots: int, budget_s: float) -> None:
    """What begins when Celery consumes the queues."""
    process.start(queues=[QUEUES[name] for name in names], slots=slots, stuck=lambda: _end_stuck(process, budget_s))


def _stop(process: WorkerProcess, budget_s: float) -> None:
    """What the first signal does, inside Celery's handler of it.

    Handlers run on the main thread, which is the one that takes tasks: none is taken from here on. When this returns
    the tasks have ended, and Celery's own stop puts back what it has taken and not begun, countdowns included.
    """
    for number in (*SIGNALS, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    _log.info("worker_stopping", budget_s=budget_s)
    process.stop(budget_s)
    end = Timer(CELERY_STOP_S, _leave_celery)
    end.daemon = True
    end.start()


def _leave_celery() -> None:
    """A Redis that does not answer holds Celery up for 5 s a task; what is not put back, ingest's lease covers."""
    _log.warning("worker_stop_cut_short", code="queue_unavailable", after_s=CELERY_STOP_S)
    ShutdownSignals.leave(0)


def _end_stuck(process: WorkerProcess, budget_s: float) -> None:
    """Celery cannot be relied on to stop: let what is under way end, then end the process."""
    process.stop(budget_s)
    ShutdownSignals.leave(STUCK_EXIT_CODE)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    """Watch workers and tasks in a browser (Flower); ARGUMENTS are Flower's own.

    It listens on loopback, or on every address when WEBHOOKD_FLOWER_LOGIN sets a login. Its remote actions are off
    unless `--read_only=false` is among the arguments.
    """
    settings = _settings()
    login = settings.flower_login.get_secret_value()
    # The login goes by the environment: arguments are for every user of the machine to read.
    os.environ |= {"FLOWER_BASIC_AUTH": login} if login else {}
    address = "0.0.0.0" if login else "127.0.0.1"  # noqa: S104 - only behind a login
    build_celery(settings).start(["flower", f"--address={address}", "--read_only=true", *arguments])
    # Flower has stopped by now; at its exit Python would wait for threads that still ask the workers something.
    ShutdownSignals.leave(0)


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
    """Celery configures logging unless somebody answers this signal; ours is configured already."""
