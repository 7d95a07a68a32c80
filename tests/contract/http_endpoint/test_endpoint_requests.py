"""An endpoint reads every form of a request, and answers in order, at once or late."""

import socket
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from tests.harness.endpoint_clients import (
    ECHOED_POST,
    OK,
    OK_RESPONSE,
    PATIENCE_S,
    POST,
    connected,
    echoed,
    received,
    response_to,
    rest_of,
)
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest


def test_a_connection_serves_many_requests(echoing: HttpEndpoint) -> None:
    with closing(HTTPConnection("127.0.0.1", echoing.port, timeout=PATIENCE_S)) as client:
        client.connect()
        first = client.sock
        for number in range(20):
            client.request("POST", f"/{number}", b"x" * number)
            response = client.getresponse()
            assert (response.getheader("X-Path"), response.read()) == (f"/{number}", b"x" * number)
            assert client.sock is first


def test_pipelined_requests_are_answered_in_their_order(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.sendall(b"".join(b"POST /%d HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" % n for n in range(50)))
        sent = b"".join(echoed(f"/{n}", b"x") for n in range(50))
        assert received(sock, len(sent)) == sent


def test_a_request_may_arrive_byte_by_byte(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(POST)):
            sock.sendall(POST[at : at + 1])
        assert received(sock, len(ECHOED_POST)) == ECHOED_POST


def test_a_body_may_be_large_in_both_directions(echoing: HttpEndpoint) -> None:
    body = b"0123456789" * 1_000_000
    assert response_to(echoing, body) == (200, body)


def test_a_request_waits_for_the_rest_of_a_large_answer(echoing: HttpEndpoint) -> None:
    body = b"0123456789" * 1_000_000
    with connected(echoing) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body + POST)
        sent = echoed("/", body) + ECHOED_POST
        assert received(sock, len(sent)) == sent


def test_a_body_may_come_in_chunks(echoing: HttpEndpoint) -> None:
    with closing(HTTPConnection("127.0.0.1", echoing.port, timeout=PATIENCE_S)) as client:
        for _ in range(2):
            client.request("POST", "/", iter([b"one", b"two" * 100_000]), {}, encode_chunked=True)
            assert client.getresponse().read() == b"one" + b"two" * 100_000


def test_extensions_and_trailers_of_chunks_are_skipped(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: 1\r\n\r\n" + POST)
        sent = echoed("/", b"abc") + ECHOED_POST
        assert received(sock, len(sent)) == sent


def test_a_client_that_asks_may_send_its_body(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert received(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"a")
        sock.sendall(b"b")
        sent = echoed("/", b"ab")
        assert received(sock, len(sent)) == sent


def test_a_request_is_handed_over_as_it_arrived(blocking: bool) -> None:
    requests: list[ReceivedRequest] = []

    def handle(request: ReceivedRequest) -> Answer:
        requests.append(request)
        return OK

    before_ns = time.time_ns()
    with HttpEndpoint(handle, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(b"PATCH /a?b HTTP/1.1\r\nX-One: 1\r\nX-ONE:2\r\nContent-Length: 1\r\n\r\nz")
        assert received(sock, len(OK_RESPONSE)) == OK_RESPONSE
    (request,) = requests
    assert (request.method, request.path, request.body) == ("PATCH", "/a?b", b"z")
    assert request.headers == {"x-one": "1, 2", "content-length": "1"}
    assert request.header_lines == (("X-One", "1"), ("X-ONE", "2"), ("Content-Length", "1"))
    assert before_ns <= request.received_ns <= time.time_ns()


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(blocking: bool, status: int) -> None:
    answer = Answer(status=status, body=b"x")
    with HttpEndpoint(lambda _: answer, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST + b"GET / HTTP/1.0\r\n\r\n")
        assert rest_of(sock) == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n\r\n".encode() * 2


def test_an_answer_to_head_has_no_body(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\nz" + POST)
        head = b"HTTP/1.1 200 OK\r\nX-Path: /\r\nContent-Length: 1\r\n\r\n"
        assert received(sock, len(head) + 8) == head + b"HTTP/1.1"


@pytest.mark.parametrize("request_head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n"])
def test_the_client_may_have_the_connection_closed(echoing: HttpEndpoint, request_head: bytes) -> None:
    with connected(echoing) as sock:
        sock.sendall(request_head)
        assert rest_of(sock).startswith(b"HTTP/1.1 200 OK\r\n")


def test_delays_of_many_connections_run_at_the_same_time(blocking: bool) -> None:
    late = Answer(delay_s=0.5)
    with HttpEndpoint(lambda _: late, blocking=blocking) as endpoint:
        began = time.monotonic()
        socks = [connected(endpoint) for _ in range(100)]
        for sock in socks:
            sock.sendall(POST)
        for sock in socks:
            assert received(sock, len(OK_RESPONSE)) == OK_RESPONSE
            sock.close()
        assert 0.5 <= time.monotonic() - began < 40  # in turn they would take 50 s


def test_a_late_answer_is_not_overtaken_on_its_connection(blocking: bool) -> None:
    def handle(request: ReceivedRequest) -> Answer:
        return Answer(headers={"X-Path": request.path}, delay_s=0.1 if request.path == "/late" else 0)

    with HttpEndpoint(handle, blocking=blocking) as endpoint, connected(endpoint) as sock:
        sock.sendall(b"GET /late HTTP/1.1\r\n\r\nGET /soon HTTP/1.1\r\n\r\n")
        sent = echoed("/late", b"") + echoed("/soon", b"")
        assert received(sock, len(sent)) == sent


def test_a_late_answer_to_a_client_that_has_gone_is_dropped(blocking: bool) -> None:
    with HttpEndpoint(lambda _: Answer(delay_s=0.05), blocking=blocking) as endpoint:
        with connected(endpoint) as sock:
            sock.sendall(POST)
        assert response_to(endpoint) == (200, b"")
