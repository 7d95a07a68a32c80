"""What the servers answer by themselves: rubbish, slow clients and oversized requests get a problem document.

Oracle: raw sockets on both servers; gunicorn runs in a process of its own, with a short time for a request to arrive.
"""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from api.embedded_server import serve_embedded
from api.extensions.response_headers import SECURITY_HEADERS
from tests.harness.api_process import WAIT_S, ApiProcess, running_api
from tests.harness.subscriptions import document

ARRIVAL_S = 2.0
SLOW_CLIENTS = 50
"""More than the API has threads."""
SECRET = "whd_test_do_not_log_7Yq"  # a marker that must not be in the log
HOST = b"Host: localhost\r\n"
POST = b"POST /1/Subscription HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# What is sent · status of gunicorn · status of the embedded server
RUBBISH: list[tuple[bytes, int, int]] = [
    (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505, 505),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, 505),
    (b"GET / HTTX\r\n" + HOST + b"\r\n", 400, 400),
    (b"GET /\r\n\r\n", 400, 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400, 400),
    (b"hello\r\n\r\n", 400, 400),
    (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400, 404),
    (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, 404),
    (b"GET /" + b"x" * 70_000, 414, 414),
    (b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: 1\r\n" % number for number in range(120)) + b"\r\n", 431, 431),
    (b"GET / HTTP/1.1\r\nCookie: " + b"x" * 9_000 + b"\r\n\r\n", 431, 404),
    (b"GET / HTTP/1.1\r\nCookie: " + b"x" * 70_000 + b"\r\n\r\n", 431, 431),
    (b"GET / HTTP/1.1\r\nAuthorization Bearer " + SECRET.encode() + b"\r\n\r\n", 400, 404),
    (b"GET / HTTP/1.1\r\nX: 1\r\n " + SECRET.encode() + b"\r\n\r\n", 400, 404),
    (b"GET / HTTP/1.1\nHost: localhost\n\n", 400, 404),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: " + SECRET.encode() + b"\r\n\r\n", 417, 404),
    (b"GET /nothing HTTP/1.1\r\nConnection: close\r\n" + HOST + b"SCRIPT_NAME: /1\r\n\r\n", 404, 404),
    (POST + b"Content-Length: 5x\r\n\r\n{}", 400, 400),
    (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400, 422),
    (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 400),
    (POST + b"Transfer-Encoding: br, chunked\r\n\r\n0\r\n\r\n", 501, 400),
    (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400, 400),
    (CHUNKED + b"2\r\n{}XX0\r\n\r\n", 400, 400),
    (CHUNKED + b"2;=\r\n{}\r\n0\r\n\r\n", 400, 400),
    (CHUNKED + b"2\r\n{}\r\n0\r\n:\r\n\r\n", 400, 400),
    (CHUNKED + b"7530\r\n" + b" " * 30_000 + b"\r\n0\r\n\r\n", 413, 413),
]
"""The embedded server is Python's own, which accepts more."""
CUT_OFF: list[bytes] = [b"GET / HT", POST, POST + b"Content-Length: 50\r\n\r\n{", CHUNKED + b"5\r\n{", CHUNKED]


@pytest.fixture(scope="module")
def gunicorn(migrated_url: str) -> Iterator[ApiProcess]:
    """A running `webhookd api`; afterwards its log must not have what clients have sent."""
    with running_api(migrated_url, api_arrival_timeout_s=ARRIVAL_S) as server:
        yield server
    assert server.log
    assert [line for line in server.log if SECRET in line] == []
    assert [line for line in server.log if "request_failed" in line or "Traceback" in line] == []


@pytest.fixture
def embedded(app: Flask) -> Iterator[int]:
    """The API in a thread of this process."""
    server = serve_embedded(app)
    yield server.port
    server.stop()


def opened(port: int, sent: bytes) -> socket.socket:
    """A connection on which this was sent."""
    client = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    client.sendall(sent)
    return client


class Received:
    """One response, read until the server closes the connection."""

    def __init__(self, client: socket.socket) -> None:
        with closing(client), client.makefile("rb") as stream:
            self.text = stream.read()
        head, _, body = self.text.partition(b"\r\n\r\n")
        first, _, fields = head.partition(b"\r\n")
        self.status = int(first.split()[1])
        self.headers = http.client.parse_headers(BytesIO(fields + b"\r\n\r\n"))
        self.body: dict[str, Any] = json.loads(body)


def assert_problem(answer: Received, status: int) -> None:
    assert (answer.status, answer.body["status"]) == (status, status), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"] == f"/problems/{answer.body['code']}"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert SECRET.encode() not in answer.text
    assert not re.search(rb"gunicorn/|werkzeug|python|traceback|\d+\.\d+\.\d+", answer.text, re.IGNORECASE)


@pytest.mark.parametrize(("sent", "status", "_other"), RUBBISH)
def test_gunicorn_answers_rubbish_with_a_problem(gunicorn: ApiProcess, sent: bytes, status: int, _other: int) -> None:
    assert_problem(Received(opened(gunicorn.port, sent)), status)


@pytest.mark.parametrize(("sent", "_other", "status"), RUBBISH)
def test_the_embedded_server_answers_rubbish_with_a_problem(
    embedded: int, sent: bytes, _other: int, status: int
) -> None:
    client = opened(embedded, sent)
    client.shutdown(socket.SHUT_WR)
    assert_problem(Received(client), status)


@pytest.mark.parametrize("sent", CUT_OFF)
def test_a_request_that_is_cut_off_is_a_bad_request(gunicorn: ApiProcess, sent: bytes) -> None:
    client = opened(gunicorn.port, sent)
    client.shutdown(socket.SHUT_WR)
    assert_problem(Received(client), 400)


def test_slow_clients_take_no_thread_and_are_told_so(gunicorn: ApiProcess) -> None:
    begun = [b"GET / HTTP/1.1\r\nX-Slow: ", POST + b"Content-Length: 50\r\n\r\n{", CHUNKED + b"1"]
    with ExitStack() as stack:
        slow = [stack.enter_context(opened(gunicorn.port, sent)) for sent in begun for _ in range(SLOW_CLIENTS)]
        assert Received(opened(gunicorn.port, b"GET /nothing HTTP/1.0\r\n\r\n")).status == 404
        for client in slow:
            assert_problem(Received(client), 408)


def test_a_connection_without_a_request_is_closed_without_an_answer(gunicorn: ApiProcess) -> None:
    with opened(gunicorn.port, b"") as client:
        assert client.recv(1) == b""


def test_requests_that_come_together_are_answered_in_order(gunicorn: ApiProcess) -> None:
    body = json.dumps(document("name", 7)).encode()
    posted = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    first = b"GET /problems/not_json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with opened(gunicorn.port, first + posted * 2 + last) as client, client.makefile("rb") as stream:
        statuses = re.findall(rb"HTTP/1.1 (\d+) ", stream.read())
    assert statuses == [b"200", b"422", b"422", b"404"]


def test_a_body_is_asked_for_once_and_only_if_it_is_wanted(gunicorn: ApiProcess) -> None:
    expecting = POST + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with opened(gunicorn.port, expecting % 2) as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 422 ")
    assert_problem(Received(opened(gunicorn.port, expecting % 20_001)), 413)


def test_headers_of_requests_and_subscriptions_are_not_logged(gunicorn: ApiProcess) -> None:
    secret = {"name": "X-Api-Key", "value": SECRET}
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn.port, timeout=WAIT_S)) as connection:
        for headers in ([secret], secret, [secret, {**secret, "value": f"{SECRET}\n"}], f"{SECRET}"):
            sent = json.dumps(document("destination.webhook.headers", headers))
            fields = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
            connection.request("POST", "/1/Subscription", sent, fields)
            answer = connection.getresponse()
            assert (answer.status in {422, 503}, SECRET in answer.read().decode()) == (True, False)
