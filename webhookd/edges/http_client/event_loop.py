"""The event loop: one thread that runs all HTTP exchanges of a process."""

import heapq
import itertools
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from webhookd import logs
from webhookd.clock import Monotonic, monotonic
from webhookd.edges.http_client.connection_pool import ConnectionPool
from webhookd.edges.http_client.dialing import DialContext
from webhookd.edges.http_client.dns_resolver import DnsResolver, Resolver, resolve
from webhookd.edges.http_client.egress_guard import EgressGuard, egress_policy
from webhookd.edges.http_client.exchange import Exchanges, RequestSequence
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import Poller
from webhookd.edges.http_client.tls import TlsContext, client_context
from webhookd.flow.attempt.egress_proxy import EgressProxy
from webhookd.flow.attempt.endpoint_certificate import SeenCertificate
from webhookd.flow.attempt.target import Target
from webhookd.settings import Settings

_STOP_GRACE_S = 2.0  # for callbacks and request sequences to return, beyond the budget

_log = logs.get(__name__)


@dataclass(slots=True, kw_only=True)
class _Timer:
    interval_s: float
    due_s: float
    callback: Callable[[], None]


class ExchangeLoop:
    """Runs many request sequences at once; within a sequence the next request waits for the response. One per process.

    `submit`, `every`, `start`, `abort_all` and `stop` may be called from any thread. A deadline fires up to
    `sweep_interval_s` late. An error that a sequence or a callback raises is logged; the thread continues. After a
    crash of the process a sequence never finishes, and the submitter must handle that. Without a `context` one is built
    from the settings, which reads files. Raises UnusableSetting for settings with which no request can be sent.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        limits: Limits | None = None,
        clock: Monotonic = monotonic,
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
        poller: Poller | None = None,
    ) -> None:
        limits = replace(limits or Limits(), response_bytes=settings.response_bytes)
        self._clock = clock
        self._poller = poller or Poller()
        self._dns = DnsResolver(resolver, self._call_soon, limits.lookup_threads)
        self._pool = ConnectionPool(limits)
        dial_context = DialContext(
            poller=self._poller,
            dns=self._dns,
            call_soon=self._call_soon,
            clock=clock,
            limits=limits,
            tls=TlsContext(context or _context(settings), clock=clock),
            guard=EgressGuard(policy=egress_policy(settings), clock=clock),
            proxy=_proxy(settings),
            proxy_judges=settings.egress_proxy_judges,
        )
        self._tls = dial_context.tls
        self._exchanges = Exchanges(dial_context, self._pool)
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: list[_Timer] = []
        self._delayed: list[tuple[float, int, RequestSequence]] = []
        self._order = itertools.count()
        self._due_s = clock()
        self._polling = False
        self._ended = False
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="exchange-loop", daemon=True)
        self.every(limits.sweep_interval_s, self._exchanges.sweep)

    @property
    def open_exchanges(self) -> int:
        """The number of request sequences in progress."""
        return len(self._exchanges.in_progress)

    @property
    def connections(self) -> int:
        """The number of connections that are open or being opened, idle ones included."""
        return len(self._poller.registered)

    @property
    def idle_connections(self) -> int:
        """The number of connections that are kept for the next request sequence."""
        return len(self._pool)

    def certificate(self, target: Target) -> SeenCertificate | None:
        """The certificate that the endpoint has shown last; any thread. None before its first handshake."""
        own = target.tls_context
        context = own if isinstance(own, TlsContext) else self._tls
        return context.certificate(target.host, target.port)

    def start(self) -> None:
        """Start the thread. Call it once."""
        self._thread.start()

    def submit(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        """Start a request sequence; returns at once. After `stop` the sequence gets `Failure(shutdown)`.

        At least `body_bytes` of each response's body are kept, whatever the setting for activity is.
        """
        self._call_soon(partial(self._exchanges.begin, sequence, body_bytes))

    def submit_later(self, sequence: RequestSequence, delay_s: float) -> None:
        """Start a request sequence after a delay, or when the loop stops. Call it on the loop's thread."""
        if self._stop_at_s is not None:
            delay_s = 0.0
        heapq.heappush(self._delayed, (self._clock() + delay_s, next(self._order), sequence))
        self._due_s = min(self._due_s, self._delayed[0][0])

    def every(self, interval_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop's thread every `interval_s`; it must not block."""
        timer = _Timer(interval_s=interval_s, due_s=self._clock() + interval_s, callback=callback)
        self._call_soon(partial(self._add_timer, timer))

    def abort_all(self) -> None:
        """Abort all exchanges in progress with `shutdown`; returns at once.

        The loop continues and accepts sequences that are submitted after this call.
        """
        self._call_soon(self._exchanges.abort_all)

    def stop(self, budget_s: float) -> None:
        """Let exchanges in progress finish within the budget, fail the others with `shutdown`, and end the thread.

        Blocks until then. No new request is sent meanwhile. It may be called twice, and without `start`.
        """
        self._call_soon(partial(self._begin_stop, self._clock() + budget_s))
        if self._thread.is_alive():
            self._thread.join(budget_s + _STOP_GRACE_S)
        elif not self._ended:
            self._end()

    def _call_soon(self, call: Callable[[], None]) -> None:
        """Schedule a call on the loop's thread; after the end of the loop, run it on the caller's thread."""
        self._inbox.append(call)
        # The loop sets `_polling` before it checks the inbox for the last time. So either it sees this call, or this
        # thread sees `_polling`.
        if self._polling:
            self._poller.wake()
        if self._ended:
            self._empty_inbox()

    def _run(self) -> None:
        while not self._is_finished():
            self._run_once()
        self._end()

    def _run_once(self) -> None:
        """Wait for events, then handle all of them."""
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
        return not (self._exchanges.in_progress or self._delayed) or self._clock() >= self._stop_at_s

    def _end(self) -> None:
        self._begin_delayed(inf)
        self._call_logging_errors(self._exchanges.shut_down)
        self._dns.close()
        self._ended = True
        self._empty_inbox()
        self._poller.close()

    def _begin_stop(self, stop_at_s: float) -> None:
        self._exchanges.closing = True
        self._stop_at_s = stop_at_s
        self._begin_delayed(inf)

    def _add_timer(self, timer: _Timer) -> None:
        self._timers.append(timer)
        self._due_s = min(self._due_s, timer.due_s)

    def _run_due_timers(self) -> None:
        now = self._clock()
        for timer in self._timers:
            if now >= timer.due_s:
                timer.due_s = now + timer.interval_s
                self._call_logging_errors(timer.callback)
        self._begin_delayed(now)
        self._due_s = min((timer.due_s for timer in self._timers), default=now + 1.0)
        if self._delayed:
            self._due_s = min(self._due_s, self._delayed[0][0])

    def _begin_delayed(self, until: float) -> None:
        due = []  # one that has to wait again is submitted again meanwhile
        while self._delayed and self._delayed[0][0] <= until:
            due.append(heapq.heappop(self._delayed)[2])
        for sequence in due:
            self._call_logging_errors(partial(self._exchanges.begin, sequence))

    def _empty_inbox(self) -> None:
        for _ in range(len(self._inbox)):  # what these calls add waits for the next iteration
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


def _proxy(settings: Settings) -> EgressProxy | None:
    if settings.egress_proxy is None:
        return None
    proxy = EgressProxy.parse(settings.egress_proxy.get_secret_value())
    _log.info("egress_by_proxy", host=proxy.host, port=proxy.port)
    return proxy


def _check_proxy(settings: Settings) -> None:
    if settings.egress_proxy is not None:
        EgressProxy.parse(settings.egress_proxy.get_secret_value())


SETTING_CHECKS: Sequence[Callable[[Settings], object]] = (_context, egress_policy, _check_proxy)
"""Each raises UnusableSetting for settings with which no request can be sent. The first one reads files."""
