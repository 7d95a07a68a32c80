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
    ring: Callable[[], None]


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
        self._readiness = Poller()
        self._lookups = DnsResolver(resolver, self._soon, limits.lookup_threads)
        self._pool = ConnectionPool(limits)
        line = DialContext(
            readiness=self._readiness,
            lookups=self._lookups,
            soon=self._soon,
            clock=clock,
            limits=limits,
            trust=TlsContext(context or _context(settings)),
            allowed=_allowed(settings),
            proxy=_proxy(settings),
        )
        self._exchanges = Exchanges(line, self._pool)
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: list[_Timer] = []
        self._due_s = clock()
        self._asleep = False
        self._ended = False
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="exchange-loop", daemon=True)
        self.every(limits.sweep_interval_s, self._exchanges.sweep)

    @property
    def open_exchanges(self) -> int:
        """How many errands are under way."""
        return len(self._exchanges.under_way)

    @property
    def connections(self) -> int:
        """How many connections are open or being opened, idle ones included."""
        return len(self._readiness.waiting)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def submit(self, sequence: RequestSequence) -> None:
        """Have an errand carried out; returns at once. After `stop` the errand hears `Failure(shutdown)`."""
        self._soon(partial(self._exchanges.begin, sequence))

    def every(self, interval_s: float, callback: Callable[[], None]) -> None:
        """Have something called on the loop's thread again and again; it must not block."""
        timer = _Timer(interval_s=interval_s, due_s=self._clock() + interval_s, ring=callback)
        self._soon(partial(self._add_timer, timer))

    def cut(self) -> None:
        """Break off, soon, every exchange that is under way, as `shutdown`; returns at once.

        The loop goes on, and takes whatever is submitted after this call.
        """
        self._soon(self._exchanges.cut)

    def stop(self, budget_s: float) -> None:
        """Let the exchanges under way end within the budget, fail the others as `shutdown`, and end the thread.

        Blocks until then. Nothing new is sent meanwhile. Stopping twice, or what was never started, is allowed.
        """
        self._soon(partial(self._begin_stop, self._clock() + budget_s))
        if self._thread.is_alive():
            self._thread.join(budget_s + _STOP_GRACE_S)
        elif not self._ended:
            self._end()

    def _soon(self, call: Callable[[], None]) -> None:
        """Have something called on the loop's thread; after the loop's end, right here."""
        self._inbox.append(call)
        # The loop says that it falls asleep before it looks into the inbox for the last time, so one of the two
        # sees the other.
        if self._asleep:
            self._readiness.wake()
        if self._ended:
            self._empty_inbox()

    def _run(self) -> None:
        while not self._over():
            self._turn()
        self._end()

    def _turn(self) -> None:
        """Wait for something to happen, and see to all that has."""
        self._asleep = True
        ready = self._readiness.poll(0 if self._inbox else max(0.0, self._due_s - self._clock()))
        self._asleep = False
        waiting = self._readiness.waiting
        for fd, events in ready:
            connection = waiting.get(fd)
            if connection is None:
                self._readiness.quiet(fd)
                continue
            try:
                connection.ready(events)
            except Exception:  # noqa: BLE001  # top of the loop: one connection must not end all
                _log.exception("exchange_failed")
                self._guarded(connection.abandon)
        if self._inbox:
            self._empty_inbox()
        if self._clock() >= self._due_s:
            self._ring()

    def _over(self) -> bool:
        if self._stop_at_s is None:
            return False
        return not self._exchanges.under_way or self._clock() >= self._stop_at_s

    def _end(self) -> None:
        self._guarded(self._exchanges.shut_down)
        self._lookups.close()
        self._ended = True
        self._empty_inbox()
        self._readiness.close()

    def _begin_stop(self, stop_at_s: float) -> None:
        self._exchanges.closing = True
        self._stop_at_s = stop_at_s

    def _add_timer(self, timer: _Timer) -> None:
        self._timers.append(timer)
        self._due_s = min(self._due_s, timer.due_s)

    def _ring(self) -> None:
        now = self._clock()
        for timer in self._timers:
            if now >= timer.due_s:
                timer.due_s = now + timer.interval_s
                self._guarded(timer.ring)
        self._due_s = min((timer.due_s for timer in self._timers), default=now + 1.0)

    def _empty_inbox(self) -> None:
        for _ in range(len(self._inbox)):  # what these calls add waits for the next turn
            try:
                call = self._inbox.popleft()
            except IndexError:  # another thread has emptied it, after the loop's end
                return
            self._guarded(call)

    def _guarded(self, call: Callable[[], None]) -> None:
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
