"""From a target to an open connection: look-up, guard, then the addresses one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from webhookd.clock import Monotonic
from webhookd.edges.exchange.connection import Connection
from webhookd.edges.exchange.limits import Limits
from webhookd.edges.exchange.lookups import Found, Lookups, Soon
from webhookd.edges.exchange.readiness import Readiness
from webhookd.edges.exchange.trust import Trust
from webhookd.flow.address import Network, refusal
from webhookd.flow.outcome import FailureCode
from webhookd.flow.target import Target


class Caller(Protocol):
    """Whoever wants the connection; called on the loop's thread, never from within `Dial.begin`."""

    def dialled(self, connection: Connection) -> None:
        """It is open and the caller's."""

    def not_dialled(self, code: FailureCode, detail: str) -> None:
        """No address could be reached; the code of the last one tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What every dial of a loop shares."""

    readiness: Readiness
    lookups: Lookups
    soon: Soon
    clock: Monotonic
    limits: Limits
    trust: Trust
    allowed: Sequence[Network]


class Dial:
    """One attempt to open a connection. The address that the guard has judged is the address that is dialled.

    A refused or silent address makes way for the next; a failed handshake does not, since that is an answer.
    """

    def __init__(self, line: Line, target: Target, caller: Caller) -> None:
        self._line = line
        self._target = target
        self._caller = caller
        self._since_s = line.clock()
        self._connection: Connection | None = None
        self._addresses: list[str] = []
        self._reason = (FailureCode.DNS_FAILED, "the name has no address")
        self._over = False

    @property
    def phase_code(self) -> FailureCode:
        """The failure it would be, were it to end now for lack of time."""
        return FailureCode.CONNECT_TIMEOUT if self._connection else FailureCode.DNS_FAILED

    def begin(self) -> None:
        """Set out; the caller hears of it later."""
        host = self._target.host
        if _is_address(host):
            self._try([host])
        else:
            self._line.lookups.ask(host, self._target.port, self._found)

    def check(self, now: float) -> None:
        """Lose patience with a look-up or an address that takes too long."""
        limits = self._line.limits
        if self._connection is None:
            if now - self._since_s >= limits.lookup_timeout_s:
                self._reason = (FailureCode.DNS_FAILED, "the resolver did not answer in time")
                self._give_up()
        elif now - self._since_s >= limits.connect_timeout_s:
            self._next(FailureCode.CONNECT_TIMEOUT, "no answer in time")

    def cancel(self) -> None:
        """Stop without a word."""
        self._over = True
        if self._connection is not None:
            self._connection.close()

    def done(self, connection: Connection) -> None:
        """The connection is open."""
        if not self._over:
            self._over = True
            self._caller.dialled(connection)

    def broke(self, connection: Connection, code: FailureCode, detail: str) -> None:  # noqa: ARG002  # of Holder
        """The address did not work out."""
        if code is FailureCode.TLS_FAILED:
            self._addresses.clear()
        self._next(code, detail)

    def _found(self, found: Found) -> None:
        if self._over:
            return
        if isinstance(found, OSError):
            self._reason = (FailureCode.DNS_FAILED, found.strerror or str(found))
            found = ()
        self._try(found)

    def _try(self, found: Sequence[str]) -> None:
        for text in found[: self._line.limits.addresses_tried]:
            reason = refusal(ip_address(text), self._line.allowed)
            if reason is None:
                self._addresses.append(text)
            else:
                self._reason = (FailureCode.ADDRESS_REFUSED, f"{text} is {reason}")
        self._connect()

    def _next(self, code: FailureCode, detail: str) -> None:
        self._reason = (code, detail)
        if self._connection is not None:
            self._connection.close()
        self._connect()

    def _connect(self) -> None:
        target = self._target
        trust = self._line.trust if target.tls else None
        while self._addresses:
            address = self._addresses.pop(0)
            connection = Connection(
                self, self._line.readiness, self._line.limits, (target.tls, target.host, target.port), trust
            )
            try:
                connection.connect(address, target.port)
            except OSError as error:
                refused = isinstance(error, ConnectionRefusedError)
                code = FailureCode.CONNECT_REFUSED if refused else FailureCode.CONNECT_FAILED
                self._reason = (code, error.strerror or str(error))
                continue
            self._connection = connection
            self._since_s = self._line.clock()
            return
        self._line.soon(self._give_up)

    def _give_up(self) -> None:
        if not self._over:
            self._over = True
            self._caller.not_dialled(*self._reason)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
