"""A request sequence in progress: one request after another, each after the response to the previous one."""

from collections.abc import Callable
from typing import Protocol

from webhookd import logs
from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.connection_pool import ConnectionPool
from webhookd.edges.http_client.dialing import Dial, DialContext
from webhookd.edges.http_client.response_reader import ResponseReader
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.target import Target

_log = logs.get(__name__)


class RequestSequence(Protocol):
    """Requests to one target; the next one is decided when the outcome of the previous one is known."""

    @property
    def target(self) -> Target:
        """Where all its requests go; read once."""

    @property
    def deadline_s(self) -> float:
        """The time limit of one exchange, DNS look-up and connecting included; read once."""

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Return the next request as bytes, or None when the sequence is finished.

        Called on the loop's thread, first with None and then with the outcome of the previous request; must not block.
        After `Failure(shutdown)` nothing more is sent, even if it returns a request. An exception is logged and ends
        the sequence.
        """


class Exchanges:
    """All exchanges in progress on one loop, and what they share. Used on the loop's thread only."""

    def __init__(self, dial_context: DialContext, pool: ConnectionPool) -> None:
        self.dial_context = dial_context
        self.pool = pool
        self.clock = dial_context.clock
        self.closing = False
        self.in_progress: set[Exchange] = set()

    def begin(self, sequence: RequestSequence, body_bytes: int = 0) -> None:
        """Start a request sequence that needs at least `body_bytes` of each response's body."""
        exchange = Exchange(self, sequence, body_bytes)
        self.in_progress.add(exchange)
        exchange.begin()

    def sweep(self) -> None:
        """End exchanges past their deadline and close connections that have been idle too long."""
        now = self.clock()
        for exchange in tuple(self.in_progress):
            exchange.check(now)
        self.pool.sweep(now)

    def abort_all(self) -> None:
        """Abort every exchange in progress; the outcome of a request without a status line is unknown."""
        for exchange in tuple(self.in_progress):
            exchange.abort()

    def shut_down(self) -> None:
        """End every exchange now and close every connection."""
        self.closing = True
        self.abort_all()
        self.pool.close()


class Exchange:
    """One request sequence, and the request that it waits for."""

    __slots__ = (
        "_advance",
        "_answered_s",
        "_body_bytes",
        "_connection",
        "_deadline_s",
        "_dial",
        "_exchanges",
        "_request",
        "_started_s",
        "_target",
    )

    def __init__(self, exchanges: Exchanges, sequence: RequestSequence, body_bytes: int = 0) -> None:
        self._exchanges = exchanges
        self._body_bytes = body_bytes
        self._advance: Callable[[Outcome | None], bytes | None] = sequence.advance
        self._target = sequence.target
        self._deadline_s = sequence.deadline_s
        self._connection: Connection | None = None
        self._dial: Dial | None = None
        self._request = b""
        self._started_s = self._answered_s = exchanges.clock()

    def begin(self) -> None:
        """Get the first request and send it."""
        self._send_next(self._advance_sequence(None))

    def connection_ready(self, connection: Connection) -> None:
        """The response is finished: pass it on, and send the next request on the same connection if possible."""
        reader = connection.reader
        if reader.fault:
            self.connection_failed(connection, reader.fault, "not an HTTP response within bounds")
            return
        now = self._exchanges.clock()
        request = self._advance_sequence(self._response(reader, now))
        if not reader.keep_alive or connection.unsent or self._exchanges.closing:
            self._drop_connection()
            self._send_next(request)
        elif request is None:
            self._connection = None
            self._exchanges.pool.release(connection, now)
            self._send_next(None)
        else:
            self._started_s = now
            self._request = request
            connection.send(request)

    def connection_failed(self, connection: Connection, code: FailureCode, detail: str) -> None:
        """There is no response. A stale connection is replaced by a new one, and the request is sent again."""
        if connection.stale and code is FailureCode.CONNECTION_RESET and not self._exchanges.closing:
            self._drop_connection()
            self._dial_new_connection()
        else:
            self.fail(code, detail)

    def connected(self, connection: Connection) -> None:
        """The new connection is open: send the request."""
        self._dial = None
        self._send_over(connection)

    def dial_failed(self, code: FailureCode, detail: str) -> None:
        """No connection could be opened."""
        self.fail(code, detail)

    def check(self, now: float) -> None:
        """Fail when the deadline has passed; otherwise check the timeouts of the dial, or of the response's rest.

        A response whose status line has arrived is used, even if the rest does not come. A dial that has failed reports
        that itself.
        """
        if self._dial is not None and self._dial.has_failed:
            return
        if now - self._started_s >= self._deadline_s:
            if not self._cut_response():
                self.fail(self._dial.phase_code if self._dial else FailureCode.TIMEOUT, "no answer in time")
        elif self._dial is not None:
            self._dial.check(now)
        elif self._connection is not None:
            self._check_connection(self._connection, now)

    def abort(self) -> None:
        """End it now. A request whose status line has arrived has that response; one without it fails."""
        connection = self._connection
        if connection is not None and connection.reader.end():
            request = self._advance_sequence(self._response(connection.reader, self._exchanges.clock()))
            self._drop_connection()
            if request is None:
                self._send_next(None)
                return
            self._started_s = self._exchanges.clock()
        self.fail(FailureCode.SHUTDOWN, "aborted by webhookd")

    def fail(self, code: FailureCode, detail: str) -> None:
        """Report the failure to the sequence, and send the request that it returns."""
        sent = self._connection is not None
        self._drop_connection()
        elapsed_s = self._exchanges.clock() - self._started_s
        request = self._advance_sequence(Failure(code=code, detail=detail, elapsed_s=elapsed_s, sent=sent))
        self._send_next(None if code is FailureCode.SHUTDOWN else request)

    def _check_connection(self, connection: Connection, now: float) -> None:
        connection.sweep()
        if not connection.reader.started or not connection.reader.answered:
            return
        if self._answered_s < self._started_s:
            self._answered_s = now
        elif now - self._answered_s >= self._exchanges.dial_context.limits.rest_wait_s:
            self._cut_response()

    def _cut_response(self) -> bool:
        """Use what has arrived of the response, and close the connection; returns whether there is a response."""
        connection = self._connection
        if connection is None or not connection.reader.end():
            return False
        self.connection_ready(connection)
        return True

    def _response(self, reader: ResponseReader, now: float) -> Response:
        return Response(status=reader.status, head=reader.head, body=reader.body, elapsed_s=now - self._started_s)

    def _advance_sequence(self, outcome: Outcome | None) -> bytes | None:
        try:
            return self._advance(outcome)
        except Exception:  # noqa: BLE001  # code of a caller: its errors must not end the loop
            _log.exception("request_sequence_failed", host=self._target.host)
            return None

    def _send_next(self, request: bytes | None) -> None:
        """Send the next request over an idle or a new connection; None finishes the sequence."""
        if request is None:
            self._exchanges.in_progress.discard(self)
            return
        self._started_s = self._exchanges.clock()
        self._request = request
        if self._exchanges.closing:
            self.fail(FailureCode.SHUTDOWN, "the process is stopping")
            return
        target = self._target
        connection = self._exchanges.pool.acquire((target.tls, target.host, target.port, target.tls_context))
        if connection is None:
            self._dial_new_connection()
        else:
            self._send_over(connection)

    def _dial_new_connection(self) -> None:
        self._dial = Dial(self._exchanges.dial_context, self._target, self)
        self._dial.begin()

    def _send_over(self, connection: Connection) -> None:
        self._connection = connection
        connection.owner = self
        connection.reader.keep_at_least(self._body_bytes)
        connection.send(self._request)

    def _drop_connection(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
