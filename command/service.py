"""The processes of the service, one command each; Procfile and docker-compose.yml have the same commands."""

import gc
import os
import resource
import signal
import sys
import warnings
from collections.abc import Sequence
from threading import Timer
from types import FrameType
from typing import Any

import click
from celery import bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from tornado.ioloop import IOLoop
from tornado.options import options

from api.server import serve
from command.shutdown_signals import SECOND_SIGNAL, SIGNALS, ShutdownSignals
from command.switch_interval import set_switch_interval
from webhookd import __version__, logs
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.errors import ClusterMismatch, UnusableSetting
from webhookd.service_watch import ServiceWatch, watched_database, watched_redis
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
    logs.configure_process(settings.log_format, settings.log_level)
    _log.info("settings", version=__version__, **settings.changed())
    set_switch_interval()
    # Exclude imported modules from garbage collection: a full collection of them stops every thread for about 50 ms.
    gc.collect()
    gc.freeze()
    return settings


@click.command()
def migrate() -> None:
    """Upgrade the database's schema to the current version."""
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    upgrade(settings.database_url)


@click.command()
def api() -> None:
    """Serve the management API (gunicorn)."""
    serve(_settings())


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
    budget_s = 0.0 if mismatches else settings.stop_budget_s
    _log.info("stopping", process="ingest", budget_s=budget_s, note=SECOND_SIGNAL)
    process.stop(budget_s)
    edges.close()
    _log.info("stopped", process="ingest")
    if mismatches:  # the log says so: cluster_mismatch
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
    watch = ServiceWatch(
        [watched_database(settings, edges.database.ping), watched_redis(settings, edges.coordination.ping)]
    )
    watch.start()
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
    _log.info("stopping", process="worker", budget_s=budget_s, note=SECOND_SIGNAL)
    process.stop(budget_s)
    end = Timer(CELERY_STOP_S, _exit_if_celery_hangs)
    end.daemon = True
    end.start()


def _exit_if_celery_hangs() -> None:
    """Exit if Celery hangs: an unreachable Redis delays it by 5 s for each task.

    The deliveries of tasks that were not requeued wait for the end of their lease.
    """
    _log.warning("worker_stop_cut_short", code="queue_unavailable", after_s=CELERY_STOP_S)
    ShutdownSignals.exit_process(0)


def _end_stuck(process: WorkerProcess, budget_s: float) -> None:
    """End a stuck worker: finish what is in progress, then exit without Celery's own stop, which may hang."""
    process.stop(budget_s)
    ShutdownSignals.exit_process(STUCK_EXIT_CODE)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    """Show workers and tasks in a browser (Flower); ARGUMENTS are passed to Flower.

    It listens on loopback, or on every address when WEBHOOKD_FLOWER_LOGIN sets a login. Its remote actions are off
    unless `--read_only=false` is among the arguments.
    """
    settings = _settings()
    login = settings.flower_login.get_secret_value()
    # The login is passed in the environment: every user of the machine can read arguments.
    os.environ |= {"FLOWER_BASIC_AUTH": login} if login else {}
    address = "0.0.0.0" if login else "127.0.0.1"  # noqa: S104 - only behind a login
    coordination = RedisCoordination(settings.redis_url, settings.redis_key_prefix)
    watch = ServiceWatch([watched_redis(settings, coordination.ping)])
    watch.start()
    IOLoop.current().add_callback(_flower_ready)
    build_celery(settings).start(["flower", f"--address={address}", "--read_only=true", *arguments])
    _log.info("stopped", process="flower")
    # Flower has stopped. A normal exit would wait for threads that are still waiting for answers of workers.
    ShutdownSignals.exit_process(0)


def _flower_ready() -> None:
    """Log that Flower serves, and that it stops at the first signal; called on its loop, on the main thread."""
    _log.info("flower_ready", address=options.address, port=options.port)
    loop = IOLoop.current()

    def stop() -> None:
        _log.info("stopping", process="flower", budget_s=0.0, note=SECOND_SIGNAL)
        sys.exit()  # ends the loop; Flower's command then returns

    def handle(_number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        loop.add_callback_from_signal(stop)

    for number in SIGNALS:
        signal.signal(number, handle)


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
