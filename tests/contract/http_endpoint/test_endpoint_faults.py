"""An endpoint survives anything that a client sends, and fails to answer as it is told."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.endpoint_clients import PATIENCE_S, POST, connected, echo, received, response_to, rest_of
from webhookd.testing.http_endpoint import Answer, HttpEndpoint
from webhookd.testing.http_exchange import Misbehaviour

GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"hello\n",
    b"\r\n\r\n\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000,
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: 1\r\n" * 12_000,
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_gets_400_and_the_connection_is_closed(echoing: HttpEndpoint, garbage: bytes) -> None:
    with connected(echoing) as sock:
        sock.sendall(garbage)
        assert rest_of(sock).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert response_to(echoing) == (200, b"")


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([*GARBAGE[:10], POST, POST[:30]])), max_size=6)
)
def test_the_endpoint_survives_anything(pieces: list[bytes], ever_echoing: HttpEndpoint) -> None:
    with connected(ever_echoing) as sock, suppress(ConnectionError):
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        rest_of(sock)
    assert response_to(ever_echoing) == (200, b"")


@pytest.fixture(scope="module")
def ever_echoing() -> Iterator[HttpEndpoint]:
    with HttpEndpoint(echo) as endpoint:
        yield endpoint


def test_hanging_ends_when_the_client_closes(blocking: bool) -> None:
    answer = Answer(misbehaviour=Misbehaviour.HANG)
    with HttpEndpoint(lambda _: answer, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(PATIENCE_S)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def test_breaking_ends_in_the_status_line(blocking: bool) -> None:
    answer = Answer(misbehaviour=Misbehaviour.BREAK)
    with HttpEndpoint(lambda _: answer, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        assert rest_of(sock) == b"HTTP/1.1 20"


def test_dripping_never_ends_the_status_line(blocking: bool) -> None:
    answer = Answer(misbehaviour=Misbehaviour.DRIP)
    with HttpEndpoint(lambda _: answer, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        assert received(sock, 15) == b"HTTP/1.1 200 xx"
