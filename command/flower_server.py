"""Flower for webhookd's workers, as `webhookd flower` runs it.

Flower's own command is not used: it hangs on its connection pool, leaves stopped workers in its lists, ends a taken
port with a traceback, may lose a signal that arrives while it handles something, and after an outage of Redis receives
nothing for as long as the outage lasted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from threading import Thread
from time import sleep
from typing import Any

import click
from celery import Celery
from flower.app import Flower
from flower.command import apply_env_options, apply_options, extract_settings, setup_logging
from flower.events import Events
from flower.urls import settings as flower_settings
from tornado.httputil import HTTPHeaders
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.options import Error as OptionError
from tornado.options import options
from tornado.web import OutputTransform

from command.flower_queues import show_queue_lengths
from command.shutdown_signals import SECOND_SIGNAL, ShutdownSignals
from webhookd import logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.access.loopback import is_loopback
from webhookd.service_watch import ServiceWatch, watched_redis
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.edges import build_coordination

CONNECTIONS = 64
"""Flower asks workers with up to 8 calls at the same time for its list, and 8 for each worker that is looked at. Each
call holds one connection while it takes another one from the pool: with fewer connections than calls all of them wait
for ever."""

MAX_TASKS = 10_000
"""Tasks that are kept in memory, about 3 kB each; the oldest go first."""

GONE_AFTER_S = 15
"""A worker without a heartbeat for this long was killed, and is no longer shown. One that stops says so itself."""

UPDATE_MS = 2000.0
"""How often the list of workers is brought up to date."""

RECONNECT_S = 2.0
"""The wait before the next attempt to receive events."""

API_WITHOUT_LOGIN = "FLOWER_UNAUTHENTICATED_API"
"""Flower answers requests to its HTTP API without a login only if this variable allows it."""

_log = logs.get(__name__)


def run(settings: Settings, arguments: Sequence[str]) -> None:
    """Serve until a signal, which ends the process at once with 0: Flower holds nothing that could be lost.

    Raises click.ClickException when an argument cannot be used (exit code 2) or the address is taken (1).
    """
    shutdown = ShutdownSignals()
    Thread(target=_end_on_signal, args=(shutdown,), name="shutdown", daemon=True).start()
    _configure(settings, arguments)
    server = WebhookdFlower(build_flower_celery(settings))
    coordination = build_coordination(settings)
    show_queue_lengths(coordination)
    ServiceWatch([watched_redis(settings, coordination.ping)]).start()
    try:
        port = server.start_http_server()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {_address(options.port)}: {error.strerror or error}") from None
    _log.info("flower_ready", address=_address(port))
    server.start()


def build_flower_celery(settings: Settings) -> Celery:
    """Return the Celery application of Flower."""
    app = build_celery(settings)
    app.conf.broker_pool_limit = CONNECTIONS
    return app


class WebhookdFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower that forgets the workers that have stopped, and that answers no other site's scripts."""

    def __init__(self, app: Celery) -> None:
        events = ReconnectingEvents(
            app,
            IOLoop.current(),
            db=options.db,
            persistent=options.persistent,
            state_save_interval=options.state_save_interval,
            max_workers_in_memory=options.max_workers,
            max_tasks_in_memory=options.max_tasks,
            enable_events=False,  # workers always send them
        )
        super().__init__(options=options, capp=app, events=events, **flower_settings)
        self.add_transform(SameOriginOnly)
        self._update = PeriodicCallback(self.update_list, UPDATE_MS)

    def start(self) -> None:
        """Receive events and serve, until the process ends."""
        self._update.start()
        super().start()

    def update_list(self) -> None:
        """Forget the workers that have ended, and ask those that have started about themselves."""
        state, known = self.events.state, self.inspector.workers
        alive = {name for name, worker in state.workers.items() if worker.alive}
        gone = (state.workers.keys() | state.counter.keys() | known.keys()) - alive
        for name in gone:
            for workers in (state.workers, state.counter, known):
                workers.pop(name, None)
        state.metrics.remove_workers(gone)
        if alive - known.keys():
            self.update_workers()


class ReconnectingEvents(Events):  # type: ignore[misc]  # Flower has no types
    """Receives events on its thread; Flower's own class doubles its wait with every failure, without a bound."""

    def run(self) -> None:
        """Receive until the process ends."""
        failing = False
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = self.capp.events.Receiver(connection, handlers={"*": self.on_event})
                    failing = False
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:  # noqa: BLE001 - the top of the thread: the next attempt may succeed
                if not failing:
                    _log.warning("flower_events_interrupted", code=QueueUnavailable.code, error=str(error))
                failing = True
                sleep(RECONNECT_S)


class SameOriginOnly(OutputTransform):
    """Removes the header with which Flower lets the scripts of every web site read its API, if it needs no login."""

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: FBT001 - Tornado's
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Remove it."""
        del finishing
        headers.pop("Access-Control-Allow-Origin", None)
        return status_code, headers, chunk


def _configure(settings: Settings, arguments: Sequence[str]) -> None:
    """Set Flower's options: those of FLOWER_… variables, then webhookd's, then the arguments; the last one wins.

    The login is not passed as an argument, because every user of the machine can read arguments.
    """
    login = settings.flower_login.get_secret_value()
    if login:
        os.environ["FLOWER_BASIC_AUTH"] = login
    address = "0.0.0.0" if login else "127.0.0.1"  # noqa: S104 - only behind a login
    defaults = (
        f"--address={address}",
        "--read_only=true",
        f"--max_tasks={MAX_TASKS}",
        f"--purge_offline_workers={GONE_AFTER_S}",
        "--logging=none",  # webhookd's format and level hold
    )
    _apply(apply_env_options)
    _apply(lambda: apply_options("webhookd flower", [*defaults, *arguments]))
    extract_settings()
    setup_logging()
    if not (options.basic_auth or options.auth) and is_loopback(options.address):
        os.environ.setdefault(API_WITHOUT_LOGIN, "true")


def _apply(parse: Callable[[], Any]) -> None:
    try:
        parse()
    except (OptionError, ValueError, KeyError) as error:
        raise click.UsageError(f"an option of Flower cannot be used: {error}") from None


def _address(port: int | None) -> str:
    return options.unix_socket or f"http://{options.address}:{port}"


def _end_on_signal(shutdown: ShutdownSignals) -> None:
    shutdown.wait()
    _log.info("stopping", process="flower", budget_s=0.0, note=SECOND_SIGNAL)
    _log.info("stopped", process="flower")
    sys.stdout.flush()
    shutdown.exit_process(0)
