"""Opens a connection to a target: DNS look-up, egress policy, then the addresses one after another.

way                looked up            judged by the egress policy        connected to
direct             the endpoint's name  each address found, and literals   the address that was judged
by proxy           the proxy's name     literals only                      the proxy; it resolves the endpoint's name
by proxy, with     the endpoint's name, each address found, and literals   the proxy, to the address that was judged
proxy_judges off   then the proxy's

Before all of this, the operators' rules judge the URL. The host stays the name for TLS and for the header `Host`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from webhookd.clock import Monotonic
from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.dns_resolver import CallSoon, DnsResolver, LookupResult
from webhookd.edges.http_client.egress_guard import EgressGuard
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import Poller
from webhookd.edges.http_client.tls import TlsContext
from webhookd.edges.http_client.tunnel import Tunnel
from webhookd.flow.attempt.egress_proxy import EgressProxy
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target

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
        """No address could be reached. The code is that of the last address tried."""


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


class Dial:
    """One attempt to open a connection. It connects to exactly the address that the egress policy has allowed.

    If an address refuses or does not answer, it tries the next one. A failed handshake and a proxy's refusal are final.
    """

    def __init__(self, context: DialContext, target: Target, listener: DialListener) -> None:
        self._context = context
        self._target = target
        self._listener = listener
        self._since_s = context.clock()
        self._connection: Connection | None = None
        self._tunnel: Tunnel | None = None
        self._endpoint_address = _literal(target.host)
        self._endpoints = [self._endpoint_address or target.host]  # what the proxy is asked for, one after another
        self._first_hop: EgressProxy | Target = context.proxy or target
        self._hop_address = ""
        self._hop_begun = False
        self._addresses: list[str] = []
        self._reason = (FailureCode.DNS_FAILED, "the name has no address")
        self._finished = False

    @property
    def phase_code(self) -> FailureCode:
        """The failure code to report if the deadline passes now."""
        code = FailureCode.CONNECT_TIMEOUT if self._connection else FailureCode.DNS_FAILED
        return FailureCode.PROXY_FAILED if self._before_proxy else code

    def begin(self) -> None:
        """Start; the listener is called later."""
        refused = self._context.guard.url_refusal(self._target)
        by_proxy = self._context.proxy is not None
        if refused is not None:
            self._reason = refused
        if refused or (by_proxy and self._endpoint_address is not None and not self._allows(self._endpoint_address)):
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
        self._endpoints = self._allowed(found)
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
        """End a look-up or a connection attempt that has reached its timeout."""
        limits = self._context.limits
        if self._connection is None:
            if now - self._since_s >= limits.lookup_timeout_s:
                self._reason = (FailureCode.DNS_FAILED, "the resolver did not answer in time")
                self._report_failure()
        elif now - self._since_s >= limits.connect_timeout_s:
            self._try_next(FailureCode.CONNECT_TIMEOUT, "no answer in time")

    def cancel(self) -> None:
        """Stop without calling the listener."""
        self._finished = True
        if self._connection is not None:
            self._connection.close()

    def connection_ready(self, connection: Connection) -> None:
        """The connection is open."""
        if not self._finished:
            self._finished = True
            self._listener.connected(connection)

    def connection_failed(self, connection: Connection, code: FailureCode, detail: str) -> None:  # noqa: ARG002  # as ConnectionOwner declares it
        """This address failed: try the next one, unless the failure is final."""
        if code in _FINAL_CODES:
            self._addresses.clear()
        self._try_next(code, detail)

    def _resolved(self, found: LookupResult) -> None:
        if self._finished:
            return
        if isinstance(found, OSError):
            self._reason = (FailureCode.DNS_FAILED, found.strerror or str(found))
            found = ()
        self._try_addresses(found)

    def _try_addresses(self, found: Sequence[str]) -> None:
        by_proxy = self._context.proxy is not None
        self._addresses += found[: self._context.limits.addresses_tried] if by_proxy else self._allowed(found)
        self._connect()

    def _allowed(self, found: Sequence[str]) -> list[str]:
        """Judge all addresses; return the first ones that are allowed."""
        return [text for text in found if self._allows(text)][: self._context.limits.addresses_tried]

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

    def _try_next(self, code: FailureCode, detail: str) -> None:
        self._reason = (code, detail)
        if self._connection is not None:
            self._connection.close()
        if self._proxy_asked and code in _NOT_REACHED and len(self._endpoints) > 1:
            self._endpoints.pop(0)
            self._addresses.insert(0, self._hop_address)
        self._connect()

    def _connect(self) -> None:
        while self._addresses:
            self._hop_address = self._addresses.pop(0)
            connection = self._new_connection()
            try:
                connection.connect(self._hop_address, self._first_hop.port)
            except OSError as error:
                refused = isinstance(error, ConnectionRefusedError)
                code = FailureCode.CONNECT_REFUSED if refused else FailureCode.CONNECT_FAILED
                self._reason = (code, error.strerror or str(error))
                continue
            self._connection = connection
            self._since_s = self._context.clock()
            return
        self._context.call_soon(self._report_failure)

    def _new_connection(self) -> Connection:
        context, target = self._context, self._target
        if context.proxy is not None:
            self._tunnel = Tunnel(context.proxy, self._endpoints[0], target.port, context.limits.head_bytes)
        origin = (target.tls, target.host, target.port)
        return Connection(
            self, context.poller, context.limits, origin, context.tls if target.tls else None, self._tunnel
        )

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
