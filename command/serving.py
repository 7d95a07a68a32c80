"""The processes of the service, one command each; the same lines stand in the Procfile and in docker-compose.yml."""

import gc
import os
import signal
import sys
from threading import Event
from types import FrameType

import click
from celery import signals

from api.server import serve
from webhookd import logs
from webhookd.settings import Settings
from webhookd.store.migrating import upgrade
from workers.application import build_celery
from workers.edges import build_edges
from workers.ingest.process import IngestProcess
from workers.process import WorkerProcess
from workers.queues import QUEUES

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while another waits; the default of 5 ms is a delivery's whole latency."""


def _settings() -> Settings:
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
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
    edges = build_edges(settings)
    process = IngestProcess(settings, edges, build_celery(settings))
    stop = Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        # The first signal drains; a second one ends the process at once, which loses nothing.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    process.start()
    stop.wait()
    process.stop()
    edges.close()


@click.command()
@click.option("--queue", type=click.Choice(sorted(QUEUES)), multiple=True, help="Which queue; both when not given.")
@click.option("--threads", type=click.IntRange(1, 4096), help="Parcels under way at once [WEBHOOKD_WORKER_THREADS].")
def worker(queue: tuple[str, ...], threads: int | None) -> None:
    """Post deliveries: a Celery worker for first attempts, retries or both."""
    settings = _settings()
    edges = build_edges(settings)
    process = WorkerProcess(settings, edges)
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

    Listens on loopback, and changes nothing: remote actions are off. With a login (`--basic-auth=user:password` or
    `--auth=…`) it listens on every address, and `--read_only=false` allows actions.
    """
    settings = _settings()
    guarded = any(a.startswith(("--basic-auth", "--basic_auth", "--auth")) for a in arguments)
    address = "" if guarded else "127.0.0.1"
    app = WorkerProcess(settings, build_edges(settings)).app
    app.start(["flower", f"--address={address}", "--read_only=true", *arguments])


def _keep_logging(**_: object) -> None:
    """Celery configures logging unless somebody answers this signal; ours is configured already."""
