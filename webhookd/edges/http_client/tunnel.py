"""An HTTP CONNECT through the egress proxy, up to where the endpoint's own bytes begin."""

import socket

from webhookd.edges.http_client.poller import IN, OUT
from webhookd.flow.attempt.egress_proxy import ConnectResult, EgressProxy, TunnelRefused, read_connect_answer
from webhookd.flow.attempt.exchange_result import FailureCode

_READ_BYTES = 16 * 1024


class Tunnel:
    """A CONNECT request to one endpoint: sent once, its response read in pieces of any size."""

    __slots__ = ("_head_bytes", "_received", "_unsent", "request_sent")

    def __init__(self, proxy: EgressProxy, host: str, port: int, head_bytes: int) -> None:
        self._unsent = proxy.request(host, port)
        self._received = b""
        self._head_bytes = head_bytes
        self.request_sent = False  # true after the proxy is reached; later failures concern the endpoint

    @property
    def events(self) -> int:
        """The poller's events that `advance` waits for."""
        return IN | OUT if self._unsent else IN

    def advance(self, sock: socket.socket) -> ConnectResult | None:
        """Send or read as much as the connected, non-blocking socket allows; returns None until there is a result."""
        try:
            if self._unsent:
                self.request_sent = True
                self._unsent = self._unsent[sock.send(self._unsent) :]
                return None
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            return TunnelRefused(FailureCode.PROXY_FAILED, f"the proxy: {error.strerror or error}")
        if not data:
            return TunnelRefused(
                FailureCode.PROXY_FAILED, "the proxy closed the connection before its response was complete"
            )
        self._received += data
        return read_connect_answer(self._received, self._head_bytes)
