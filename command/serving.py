"""The processes of the service, one command each; the same lines stand in the Procfile and in docker-compose.yml."""

import gc
import os
import resource

import click
from celery import signals

from api.server import serve
from command.interpreter import share_between_threads
from command.interruption import Interruption
from webhookd import logs
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings
from webhookd.store.migrating import upgrade
from workers.application import build_celery
from workers.edges import build_edges
from workers.ingest.process import IngestProcess
from workers.process import WorkerProcess
from workers.queues import QUEUES

FILES = 1 << 20
"""Open files asked for at most: a hard limit may be infinite, which no system grants as a soft one."""

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
    """Read Kafka for the active subscriptions, and dispatch what matches to the workers."""
    settings = _settings()
    open_many_files()
    edges = build_edges(settings)
    try:
        process = IngestProcess(settings, edges, build_celery(settings))
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    # The first signal drains; a second one ends the process at once, which loses nothing.
    interruption = Interruption()
    process.start()
    interruption.wait()
    process.stop()
    edges.close()


@click.command()
@click.option("--queue", type=click.Choice(sorted(QUEUES)), multiple=True, help="Which queue; both when not given.")
@click.option("--threads", type=click.IntRange(1, 4096), help="Parcels under way at once [WEBHOOKD_WORKER_THREADS].")
def worker(queue: tuple[str, ...], threads: int | None) -> None:
    """Post deliveries: a Celery worker for first attempts, retries or both."""
    settings = _settings()
    open_many_files()
    edges = build_edges(settings)
    try:
        process = WorkerProcess(settings, edges)
    except UnusableSetting as error:
        raise click.ClickException(str(error)) from None
    names = queue or tuple(QUEUES)
    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_shutting_down.connect(lambda **_: process.stop(settings.request_deadline_s), weak=False)
    process.app.worker_main(
        [
            "worker",
            f"--queues={','.join(QUEUES[name] for name in names)}",
            f"--concurrency={threads or settings.worker_threads}",
            f"--hostname={'-'.join(names)}.%h.{os.getpid()}",
            "--loglevel=warning",
            "--without-mingle",
            "--without-gossip",
        ]
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    """Watch workers and tasks in a browser (Flower); ARGUMENTS are Flower's own.

    Listens on loopback, or on every address when WEBHOOKD_FLOWER_LOGIN sets a login; its remote actions are off
    unless `--read_only=false` is among the arguments.
    """
    settings = _settings()
    login = settings.flower_login.get_secret_value()
    # The login goes by the environment: arguments are for every user of the machine to read.
    os.environ |= {"FLOWER_BASIC_AUTH": login} if login else {}
    address = "0.0.0.0" if login else "127.0.0.1"  # noqa: S104 - only behind a login
    build_celery(settings).start(["flower", f"--address={address}", "--read_only=true", *arguments])


@click.command()
def settings() -> None:
    """List the environment variables that the processes read, with their values here and what they are for."""
    for name, value in Settings().shown().items():
        click.echo(f"WEBHOOKD_{name.upper()}={value}\n    {Settings.model_fields[name].description}")


def _keep_logging(**_: object) -> None:
    """Celery configures logging unless somebody answers this signal; ours is configured already."""
