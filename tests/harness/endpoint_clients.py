"""Clients of an HttpEndpoint on raw sockets, and a handler that answers with what it got."""

import socket
from contextlib import closing
from http.client import HTTPConnection

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest

PATIENCE_S = 10.0
OK = Answer()
POST = b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
OK_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def echo(request: ReceivedRequest) -> Answer:
    """The body again, and the path in a header."""
    return Answer(headers={"X-Path": request.path}, body=request.body)


def echoed(path: str, body: bytes) -> bytes:
    """The whole response of `echo`."""
    return f"HTTP/1.1 200 OK\r\nX-Path: {path}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


ECHOED_POST = echoed("/hook", b"ab")


def connected(endpoint: HttpEndpoint) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE_S)


def received(sock: socket.socket, length: int) -> bytes:
    """So many bytes, or fewer when the endpoint closes."""
    got = bytearray()
    while len(got) < length and (piece := sock.recv(length - len(got))):
        got += piece
    return bytes(got)


def rest_of(sock: socket.socket) -> bytes:
    """All until the endpoint closes."""
    return received(sock, 1 << 30)


def response_to(endpoint: HttpEndpoint, body: bytes = b"") -> tuple[int, bytes]:
    """The status and the body of the response to a request on a connection of its own."""
    with closing(HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE_S)) as client:
        client.request("POST", "/hook", body)
        response = client.getresponse()
        return response.status, response.read()
