"""Opens a connection to a target: DNS look-up, egress policy, then the addresses in turns (RFC 8305).

way                looked up            judged by the egress policy        connected to
direct             the endpoint's name  each address found, and literals   the address that was judged
by proxy           the proxy's name     literals only                      the proxy; it resolves the endpoint's name
by proxy, with     the endpoint's name, each address found, and literals   the proxy, to the address that was judged
proxy_judges off   then the proxy's

Before all of this, the operators' rules judge the URL. The host stays the name for TLS and for the header `Host`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from webhookd.clock import Monotonic
from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.dns_resolver import CallSoon, DnsResolver, LookupResult
from webhookd.edges.http_client.egress_guard import EgressGuard
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import Poller
from webhookd.edges.http_client.tls import TlsContext
from webhookd.edges.http_client.tunnel import Tunnel
from webhookd.flow.attempt.address_order import AttemptSchedule, FamilyMemory, family_of, in_turns
from webhookd.flow.attempt.egress_proxy import EgressProxy
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target
from webhookd.metrics.catalogue.worker import CONNECTIONS_OPENED

# Before the proxy has been reached these failures are the proxy's, not the endpoint's.
_PROXY_CODES = {
    FailureCode.DNS_FAILED, FailureCode.CONNECT_REFUSED, FailureCode.CONNECT_TIMEOUT, FailureCode.CONNECT_FAILED,
}  # fmt: skip
_FINAL_CODES = {FailureCode.TLS_FAILED, FailureCode.PROXY_REFUSED}
# The proxy did not reach this address of the endpoint; it may reach another one.
_NOT_REACHED = {FailureCode.PROXY_REFUSED, FailureCode.CONNECT_TIMEOUT}


class DialListener(Protocol):
    """Gets the result of a dial. Called on the loop's thread, never from within `Dial.begin`."""

    def connected(self, connection: Connection) -> None:
        """The connection is open; the listener owns it now."""

    def dial_failed(self, code: FailureCode, detail: str) -> None:
        """No address could be reached. The code is that of the attempt that ended last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialContext:
    """What all dials of one loop share."""

    poller: Poller
    dns: DnsResolver
    call_soon: CallSoon
    clock: Monotonic
    limits: Limits
    tls: TlsContext
    guard: EgressGuard
    proxy: EgressProxy | None
    proxy_judges: bool
    families: FamilyMemory = field(default_factory=FamilyMemory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    address: str
    since_s: float
    tunnel: Tunnel | None


class Dial:
    """Opens one connection. It connects to exactly the addresses that the egress policy has allowed.

    If an address has refused, or not answered for `attempt_delay_s`, it also tries the next one. The first one whose
    TCP connection opens wins, as RFC 8305 §5 says, and the attempts to the others are closed: a handshake with each
    would cost the endpoint's servers more than it could gain. Should the winner then not finish its handshake in time,
    the others get their turn again. A failed handshake and a proxy's refusal are final.
    """

    def __init__(self, context: DialContext, target: Target, listener: DialListener) -> None:
        self._context = context
        self._target = target
        self._listener = listener
        self._since_s = context.clock()
        self._attempts: dict[Connection, _Attempt] = {}
        self._winner: Connection | None = None
        self._tunnel: Tunnel | None = None  # the winner's
        self._endpoint_address = _literal(target.host)
        self._endpoints = [self._endpoint_address or target.host]  # what the proxy is asked for, one after another
        self._first_hop: EgressProxy | Target = context.proxy or target
        self._schedule: AttemptSchedule | None = None  # None until the addresses are known
        self._hop_begun = False
        self._refused = False  # nothing is dialled; the loop reports it on its next turn
        self._reason = (FailureCode.DNS_FAILED, "the name has no address")
        self._finished = False

    @property
    def has_failed(self) -> bool:
        """Whether the listener gets the failure on the loop's next turn. No timeout may replace its reason any more."""
        return self._refused or (self._schedule is not None and self._schedule.is_empty and not self._attempts)

    @property
    def phase_code(self) -> FailureCode:
        """The failure code to report if the deadline passes now."""
        code = FailureCode.CONNECT_TIMEOUT if self._attempts else FailureCode.DNS_FAILED
        return FailureCode.PROXY_FAILED if self._before_proxy else code

    def begin(self) -> None:
        """Start; the listener is called later."""
        refused = self._context.guard.url_refusal(self._target)
        by_proxy = self._context.proxy is not None
        if refused is not None:
            self._reason = refused
        if refused or (by_proxy and self._endpoint_address is not None and not self._allows(self._endpoint_address)):
            self._refused = True
            self._context.call_soon(self._report_failure)
        elif by_proxy and self._endpoint_address is None and not self._context.proxy_judges:
            self._context.dns.look_up(self._target.host, self._target.port, self._endpoint_resolved)
        else:
            self._begin_hop()

    def _endpoint_resolved(self, found: LookupResult) -> None:
        if self._finished:
            return
        if isinstance(found, OSError):
            self._reason = (FailureCode.DNS_FAILED, found.strerror or str(found))
            found = ()
        self._endpoints = in_turns(self._allowed(found), None)[: self._context.limits.addresses_tried]
        if self._endpoints:
            self._begin_hop()
        else:
            self._report_failure()

    def _begin_hop(self) -> None:
        self._hop_begun = True
        self._since_s = self._context.clock()
        hop = _literal(self._first_hop.host)
        if hop is not None:
            self._try_addresses([hop])
        else:
            self._context.dns.look_up(self._first_hop.host, self._first_hop.port, self._resolved)

    def check(self, now: float) -> None:
        """End what has reached its timeout, the look-up or an attempt, and start the next attempt if it is due."""
        limits = self._context.limits
        if self.has_failed:
            return
        if self._schedule is None:
            if now - self._since_s >= limits.lookup_timeout_s:
                self._reason = (FailureCode.DNS_FAILED, "the resolver did not answer in time")
                self._report_failure()
            return
        for connection, attempt in list(self._attempts.items()):
            if now - attempt.since_s >= limits.connect_timeout_s:
                self._drop(connection, FailureCode.CONNECT_TIMEOUT, "no answer in time")
        self._dial_due(self._schedule)

    def cancel(self) -> None:
        """Stop without calling the listener."""
        self._finished = True
        for connection in self._attempts:
            connection.close()

    def connection_ready(self, connection: Connection) -> None:
        """The connection is open."""
        if self._finished or self._schedule is None:
            return
        self._finished = True
        CONNECTIONS_OPENED.inc("https" if self._target.tls else "http")
        if self._schedule.both_families:
            family = family_of(self._attempts[connection].address)
            self._context.families.remember(self._first_hop.host, family, self._context.clock())
        self._listener.connected(connection)

    def connection_failed(self, connection: Connection, code: FailureCode, detail: str) -> None:
        """This attempt failed: try the next address at once, unless the failure is final."""
        if self._schedule is None:
            return
        if code in _FINAL_CODES:
            self._schedule.clear()
        self._drop(connection, code, detail)
        self._dial_due(self._schedule)

    def _resolved(self, found: LookupResult) -> None:
        if self._finished:
            return
        if isinstance(found, OSError):
            self._reason = (FailureCode.DNS_FAILED, found.strerror or str(found))
            found = ()
        self._try_addresses(found)

    def _try_addresses(self, found: Sequence[str]) -> None:
        context = self._context
        allowed = found if context.proxy is not None else self._allowed(found)
        ordered = in_turns(allowed, context.families.first(self._first_hop.host, context.clock()))
        self._schedule = AttemptSchedule(ordered[: context.limits.addresses_tried], context.limits.attempt_delay_s)
        self._dial_due(self._schedule)

    def _allowed(self, found: Sequence[str]) -> list[str]:
        """Judge all addresses; return those that are allowed."""
        return [text for text in found if self._allows(text)]

    def _allows(self, text: str) -> bool:
        refused = self._context.guard.address_refusal(self._target.host, text)
        self._reason = refused or self._reason
        return refused is None

    @property
    def _before_proxy(self) -> bool:
        return self._context.proxy is not None and self._hop_begun and not self._proxy_asked

    @property
    def _proxy_asked(self) -> bool:
        return self._tunnel is not None and self._tunnel.request_sent

    def _drop(self, connection: Connection, code: FailureCode, detail: str) -> None:
        self._reason = (code, detail)
        connection.close()
        attempt = self._attempts.pop(connection, None)
        if self._schedule is None:
            return
        if connection is self._winner:
            self._winner = None
            if attempt and self._proxy_asked and code in _NOT_REACHED and len(self._endpoints) > 1:
                self._endpoints.pop(0)
                self._schedule.put_back([attempt.address])
        self._schedule.hurry()

    def _dial_due(self, schedule: AttemptSchedule) -> None:
        """Start every attempt that is due; there is none while a winner opens its connection."""
        while self._winner is None and (address := schedule.take(self._context.clock())) is not None:
            self._dial_address(address, schedule)
        if self.has_failed:
            self._context.call_soon(self._report_failure)

    def _dial_address(self, address: str, schedule: AttemptSchedule) -> None:
        self._tunnel = None  # no proxy is asked until this attempt, or one beside it, wins
        connection, tunnel = self._new_connection()
        try:
            connection.connect(address, self._first_hop.port)
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            code = FailureCode.CONNECT_REFUSED if refused else FailureCode.CONNECT_FAILED
            self._reason = (code, error.strerror or str(error))
            schedule.hurry()
        else:
            self._attempts[connection] = _Attempt(address=address, since_s=self._context.clock(), tunnel=tunnel)

    def _connected(self, winner: Connection) -> None:
        """Close the other attempts; their addresses stay, in case that this connection fails before it is open."""
        self._winner, self._tunnel = winner, self._attempts[winner].tunnel
        losers = [connection for connection in self._attempts if connection is not winner]
        if losers and self._schedule is not None:
            self._schedule.put_back([self._attempts[connection].address for connection in losers])
        for connection in losers:
            del self._attempts[connection]
            connection.close()

    def _new_connection(self) -> tuple[Connection, Tunnel | None]:
        context, target = self._context, self._target
        tunnel: Tunnel | None = None
        if context.proxy is not None:
            tunnel = Tunnel(context.proxy, self._endpoints[0], target.port, context.limits.head_bytes)
        origin = (target.tls, target.host, target.port, target.tls_context)
        tls = self._tls_context() if target.tls else None
        return Connection(self, context.poller, context.limits, origin, tls, tunnel, self._connected), tunnel

    def _tls_context(self) -> TlsContext:
        own = self._target.tls_context
        if own is None:
            return self._context.tls
        if not isinstance(own, TlsContext):
            raise TypeError(f"{type(own)} is no TLS context")
        return own

    def _report_failure(self) -> None:
        if self._finished:
            return
        self._finished = True
        code, detail = self._reason
        if self._before_proxy and code in _PROXY_CODES:
            code, detail = FailureCode.PROXY_FAILED, f"the proxy: {detail}"
        self._listener.dial_failed(code, detail)


def _literal(host: str) -> str | None:
    """Return the address if the host is one, in any notation that resolvers accept (0x7f.1); None for a name."""
    address = address_of(host)
    return None if address is None else address.compressed
