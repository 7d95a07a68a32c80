"""A hostile server with a route for each behaviour, and the behaviours that are no fixed bytes."""

import gzip
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock

from tests.harness.hostile_server import Peer, Script

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(4 * 1024 * 1024))  # 4 kB


def kept_open(data: bytes) -> Script:
    """A route that sends this, and keeps the connection open for further requests."""

    def script(peer: Peer) -> None:
        peer.send(data)
        while peer.request():
            peer.send(data)

    return script


def closed(data: bytes) -> Script:
    """A route that sends this and closes the connection."""
    return lambda peer: peer.send(data)


def half_closed(data: bytes) -> Script:
    """A route that sends this, closes the sending half, and waits for the client to close."""

    def script(peer: Peer) -> None:
        peer.send(data)
        peer.end_writing()
        peer.wait_closed()

    return script


def session_ended(data: bytes) -> Script:
    """A route that sends this, ends the TLS session, and leaves the connection to the client."""

    def script(peer: Peer) -> None:
        peer.send(data)
        peer.end_session()
        peer.wait_closed()

    return script


def repeated(first: bytes, piece: bytes, pause_s: float) -> Script:
    """A route that sends `first`, and then the same piece for ever."""

    def script(peer: Peer) -> None:
        peer.send(first)
        while not peer.pause(pause_s):
            peer.send(piece)

    return script


NEVER_ENDING: Mapping[str, Script] = {
    "event stream": repeated(HEAD + b"Content-Type: text/event-stream\r\n\r\n", b"data: 1\n\n", 0.01),
    "chunked event stream": repeated(CHUNKED, b"9\r\ndata: 1\n\n\r\n", 0.01),
    "endless body": repeated(HEAD + b"\r\n", b"x" * 65_536, 0.0),
    "body byte by byte": repeated(HEAD + b"Content-Length: 100000\r\n\r\n", b"x", 0.01),
    "endless head": repeated(HEAD, b"X-Filler: " + b"x" * 200 + b"\r\n", 0.0),
    "head line by line": repeated(HEAD, b"X: y\r\n", 0.01),
    "one header byte by byte": repeated(HEAD + b"X: ", b"y", 0.01),
    "endless trailer": repeated(CHUNKED + b"0\r\n", b"X: y\r\n", 0.01),
    "endless chunk extension": repeated(CHUNKED + b"1;", b"x", 0.01),
    "gzip bomb": repeated(HEAD + b"Content-Encoding: gzip\r\n\r\n", BOMB, 0.0),
    "silence after the status line": kept_open(HEAD),
    "silence in the body": kept_open(HEAD + b"Content-Length: 9\r\n\r\nok"),
}
"""Behind a whole status line: acknowledged, and cut."""

LATE: Mapping[str, Script] = {
    "silence": lambda peer: peer.wait_closed(),
    "status line byte by byte": repeated(b"HTTP/1.1 200 ", b"x", 0.01),
    "endless blank lines": repeated(b"", b"\r\n", 0.01),
    "interim responses one by one": repeated(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.06),
    "endless interim head": repeated(b"HTTP/1.1 103 Early\r\n", b"X: y\r\n", 0.01),
}
"""No final status line before the deadline."""


HANDSHAKE_RECORD = b"\x16\x03\x03"

SLOW_HANDSHAKES: Mapping[str, Script] = {
    "silence": lambda peer: peer.wait_closed(),
    "record byte by byte": repeated(HANDSHAKE_RECORD + b"\x40\x00\x02", b"\x00", 0.01),
}
"""Without TLS, where the client expects it: its handshake never ends."""

BROKEN_HANDSHAKES: Mapping[str, Script] = {
    "closed": closed(b""),
    "half-closed": half_closed(b""),
    "half a record": half_closed(HANDSHAKE_RECORD + b"\x40\x00\x02"),
    "no TLS": half_closed(HEAD + b"\r\n"),
    "message beyond any bound": repeated(HANDSHAKE_RECORD + b"\x00\x04\x02\xff\xff\xff", b"", 0.05),
    "endless empty records": repeated(b"", HANDSHAKE_RECORD + b"\x00\x00", 0.0),
    "endless warnings": repeated(b"", b"\x15\x03\x03\x00\x02\x01\x5a", 0.0),
}
"""Likewise: its handshake fails."""


class Routes:
    """The script of a server: the path of a request names its route. Keeps the connections that each route had."""

    def __init__(self, routes: Mapping[str, Script]) -> None:
        self._routes = {slug(name): script for name, script in routes.items()}
        self._lock = Lock()
        self._connections: dict[str, set[int]] = defaultdict(set)

    def __call__(self, peer: Peer) -> None:
        """Answer the requests of one connection, which all name the same route."""
        path = peer.request().split(b" ")[1].decode()
        with self._lock:
            self._connections[path].add(peer.number)
        self._routes[path](peer)

    def connections(self, name: str) -> int:
        """How many connections this route had."""
        return len(self._connections[slug(name)])


def slug(name: str) -> str:
    """The path of a route."""
    return "/" + name.replace(" ", "-")
