"""Open connections that nobody needs just now."""

from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.limits import Limits, Origin
from webhookd.flow.attempt.exchange_result import FailureCode


class ConnectionPool:
    """Keeps connections for the next errand: the last one given is the first one taken, so that the others can age.

    Bounded per origin and in total (the longest idle one makes room), and in time. Holds what it keeps: a
    connection that the other side closes meanwhile leaves by itself, and so does one on which a response comes that
    nobody asked for. One that comes when the next request is out is taken for its answer: HTTP/1.1 cannot tell. A look
    at each connection that is taken would narrow that gap by microseconds, and cost 2 µs.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_origin: dict[Origin, list[Connection]] = {}
        self._by_age: dict[Connection, None] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._by_age)

    def acquire(self, origin: Origin) -> Connection | None:
        """A connection to this origin, no longer the pool's; None when there is none."""
        idle = self._by_origin.get(origin)
        if not idle:
            return None
        connection = idle.pop()
        del self._by_age[connection]
        if not idle:
            del self._by_origin[origin]
        return connection

    def release(self, connection: Connection, now: float) -> None:
        """Keep an open connection that is not busy, or close it when its origin has enough of them."""
        idle = self._by_origin.setdefault(connection.origin, [])
        if len(idle) >= self._limits.idle_per_origin:
            connection.close()
            return
        if len(self._by_age) >= self._limits.idle_total:
            self._discard(next(iter(self._by_age)))
            idle = self._by_origin.setdefault(connection.origin, [])
        connection.owner = self
        connection.idle_since_s = now
        idle.append(connection)
        self._by_age[connection] = None

    def connection_ready(self, connection: Connection) -> None:
        """Nothing was asked for, so this is no better than a break."""
        self._discard(connection)

    def connection_failed(self, connection: Connection, code: FailureCode, detail: str) -> None:  # noqa: ARG002  # of Holder
        """The other side has closed it, or sent what nobody asked for."""
        self._discard(connection)

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        for connection in list(self._by_age):
            if now - connection.idle_since_s < self._limits.idle_timeout_s:
                return
            self._discard(connection)

    def close(self) -> None:
        """Close all of them."""
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
