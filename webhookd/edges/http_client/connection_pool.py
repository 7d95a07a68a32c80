"""Idle connections, kept for the next request sequence."""

from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.limits import Limits, Origin
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.keep_alive import idle_limit_s


class ConnectionPool:
    """Idle connections per origin. The last one released is the first one acquired, so the others can expire.

    The number of connections is limited per origin and in total (the longest idle one is closed), and so is their idle
    time: `idle_timeout_s`, or a second less than the server says in `Keep-Alive`. No connection is used for longer than
    `connection_age_s`: only a new one shows a renewed certificate or another address of the name.

    The pool owns its connections: it removes one that the other side closes, and one that receives bytes without a
    request. If such bytes arrive after the next request was sent, HTTP/1.1 cannot distinguish them from a response. A
    check in `acquire` would shorten that time by only microseconds, and cost 2 µs for each request.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_origin: dict[Origin, list[Connection]] = {}
        self._by_age: dict[Connection, None] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._by_age)

    def acquire(self, origin: Origin) -> Connection | None:
        """Remove and return a connection to this origin; None when there is none."""
        idle = self._by_origin.get(origin)
        if not idle:
            return None
        connection = idle.pop()
        del self._by_age[connection]
        if not idle:
            del self._by_origin[origin]
        return connection

    def release(self, connection: Connection, now: float) -> None:
        """Keep an open connection that is not busy; close it when its origin is full, or its server will."""
        if not connection.usable_until_s:
            connection.usable_until_s = now + self._limits.connection_age_s
        limit_s = min(
            idle_limit_s(connection.reader.head, self._limits.idle_timeout_s), connection.usable_until_s - now
        )
        if limit_s <= 0 or len(self._by_origin.get(connection.origin, ())) >= self._limits.idle_per_origin:
            connection.close()
            return
        if len(self._by_age) >= self._limits.idle_total:
            self._discard(next(iter(self._by_age)))
        connection.owner = self
        connection.idle_until_s = now + limit_s
        self._by_origin.setdefault(connection.origin, []).append(connection)
        self._by_age[connection] = None

    def connection_ready(self, connection: Connection) -> None:
        """A response arrived without a request: the connection cannot be used again."""
        self._discard(connection)

    def connection_failed(self, connection: Connection, code: FailureCode, detail: str) -> None:  # noqa: ARG002  # as ConnectionOwner declares it
        """The other side closed the connection, or sent bytes without a request: remove it."""
        self._discard(connection)

    def sweep(self, now: float) -> None:
        """Close connections that have been idle for as long as they may."""
        for connection in [one for one in self._by_age if now >= one.idle_until_s]:
            self._discard(connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._by_age):
            self._discard(connection)

    def _discard(self, connection: Connection) -> None:
        self._remove(connection)
        connection.close()

    def _remove(self, connection: Connection) -> None:
        del self._by_age[connection]
        idle = self._by_origin[connection.origin]
        idle.remove(connection)
        if not idle:
            del self._by_origin[connection.origin]
