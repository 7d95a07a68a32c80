"""The thread on which all HTTP exchanges of a process take place."""

import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from webhookd import logs
from webhookd.clock import Monotonic, monotonic
from webhookd.edges.http_client.connection_pool import ConnectionPool
from webhookd.edges.http_client.dialing import DialContext
from webhookd.edges.http_client.dns_resolver import DnsResolver, Resolver, resolve
from webhookd.edges.http_client.exchange import Exchanges, RequestSequence
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import Poller
from webhookd.edges.http_client.tls import TlsContext, client_context
from webhookd.errors import UnusableSetting
from webhookd.flow.attempt.egress_policy import Network, parse_networks
from webhookd.flow.attempt.egress_proxy import EgressProxy
from webhookd.settings import Settings

_STOP_GRACE_S = 2.0  # for callbacks and errands to return, past the budget

_log = logs.get(__name__)


@dataclass(slots=True, kw_only=True)
class _Timer:
    interval_s: float
    due_s: float
    callback: Callable[[], None]


class ExchangeLoop:
    """Carries out errands, many at once, each a strict sequence of requests. One per process is enough.

    `submit`, `every`, `start`, `cut` and `stop` are for any thread. A deadline fires up to `sweep_interval_s` late. The
    thread outlives whatever an errand or a callback raises: that is logged. Nothing survives a crash of the process;
    whoever submits must know what to do about an errand that never finished. Without a `context` the one that the
    settings describe is made, which reads files. Raises UnusableSetting for what no request could be sent with.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        limits: Limits | None = None,
        clock: Monotonic = monotonic,
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        limits = replace(limits or Limits(), response_bytes=settings.response_bytes)
        self._clock = clock
        self._poller = Poller()
        self._dns = DnsResolver(resolver, self._call_soon, limits.lookup_threads)
        self._pool = ConnectionPool(limits)
        dial_context = DialContext(
            poller=self._poller,
            dns=self._dns,
            call_soon=self._call_soon,
            clock=clock,
            limits=limits,
            tls=TlsContext(context or _context(settings)),
            allowed=_allowed(settings),
            proxy=_proxy(settings),
        )
        self._exchanges = Exchanges(dial_context, self._pool)
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: list[_Timer] = []
        self._due_s = clock()
        self._polling = False
        self._ended = False
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="exchange-loop", daemon=True)
        self.every(limits.sweep_interval_s, self._exchanges.sweep)

    @property
    def open_exchanges(self) -> int:
        """How many errands are under way."""
        return len(self._exchanges.in_progress)

    @property
    def connections(self) -> int:
        """How many connections are open or being opened, idle ones included."""
        return len(self._poller.registered)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def submit(self, sequence: RequestSequence) -> None:
        """Have an errand carried out; returns at once. After `stop` the errand hears `Failure(shutdown)`."""
        self._call_soon(partial(self._exchanges.begin, sequence))

    def every(self, interval_s: float, callback: Callable[[], None]) -> None:
        """Have something called on the loop's thread again and again; it must not block."""
        timer = _Timer(interval_s=interval_s, due_s=self._clock() + interval_s, callback=callback)
        self._call_soon(partial(self._add_timer, timer))

    def abort_all(self) -> None:
        """Break off, soon, every exchange that is under way, as `shutdown`; returns at once.

        The loop goes on, and takes whatever is submitted after this call.
        """
        self._call_soon(self._exchanges.abort_all)

    def stop(self, budget_s: float) -> None:
        """Let the exchanges under way end within the budget, fail the others as `shutdown`, and end the thread.

        Blocks until then. Nothing new is sent meanwhile. Stopping twice, or what was never started, is allowed.
        """
        self._call_soon(partial(self._begin_stop, self._clock() + budget_s))
        if self._thread.is_alive():
            self._thread.join(budget_s + _STOP_GRACE_S)
        elif not self._ended:
            self._end()

    def _call_soon(self, call: Callable[[], None]) -> None:
        """Have something called on the loop's thread; after the loop's end, right here."""
        self._inbox.append(call)
        # The loop says that it falls asleep before it looks into the inbox for the last time, so one of the two
        # sees the other.
        if self._polling:
            self._poller.wake()
        if self._ended:
            self._empty_inbox()

    def _run(self) -> None:
        while not self._is_finished():
            self._run_once()
        self._end()

    def _run_once(self) -> None:
        """Wait for something to happen, and see to all that has."""
        self._polling = True
        ready = self._poller.poll(0 if self._inbox else max(0.0, self._due_s - self._clock()))
        self._polling = False
        registered = self._poller.registered
        for fd, events in ready:
            connection = registered.get(fd)
            if connection is None:
                self._poller.clear_wake_up(fd)
                continue
            try:
                connection.handle_events(events)
            except Exception:  # noqa: BLE001  # top of the loop: one connection must not end all
                _log.exception("exchange_failed")
                self._call_logging_errors(connection.fail)
        if self._inbox:
            self._empty_inbox()
        if self._clock() >= self._due_s:
            self._run_due_timers()

    def _is_finished(self) -> bool:
        if self._stop_at_s is None:
            return False
        return not self._exchanges.in_progress or self._clock() >= self._stop_at_s

    def _end(self) -> None:
        self._call_logging_errors(self._exchanges.shut_down)
        self._dns.close()
        self._ended = True
        self._empty_inbox()
        self._poller.close()

    def _begin_stop(self, stop_at_s: float) -> None:
        self._exchanges.closing = True
        self._stop_at_s = stop_at_s

    def _add_timer(self, timer: _Timer) -> None:
        self._timers.append(timer)
        self._due_s = min(self._due_s, timer.due_s)

    def _run_due_timers(self) -> None:
        now = self._clock()
        for timer in self._timers:
            if now >= timer.due_s:
                timer.due_s = now + timer.interval_s
                self._call_logging_errors(timer.callback)
        self._due_s = min((timer.due_s for timer in self._timers), default=now + 1.0)

    def _empty_inbox(self) -> None:
        for _ in range(len(self._inbox)):  # what these calls add waits for the next turn
            try:
                call = self._inbox.popleft()
            except IndexError:  # another thread has emptied it, after the loop's end
                return
            self._call_logging_errors(call)

    def _call_logging_errors(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001  # top of the loop
            _log.exception("callback_failed")


def _context(settings: Settings) -> ssl.SSLContext:
    return client_context(settings.egress_ca_file, settings.egress_client_cert_file, settings.egress_client_key_file)


def _allowed(settings: Settings) -> tuple[Network, ...]:
    try:
        return parse_networks(settings.egress_allow)
    except ValueError as error:
        raise UnusableSetting(str(error), setting="egress_allow") from error


def _proxy(settings: Settings) -> EgressProxy | None:
    if settings.egress_proxy is None:
        return None
    proxy = EgressProxy.parse(settings.egress_proxy.get_secret_value())
    _log.info("egress_by_proxy", host=proxy.host, port=proxy.port)
    return proxy
