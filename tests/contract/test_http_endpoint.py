"""Every promise of HttpEndpoint, over real sockets, with answers given on its own thread and on others."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.http_exchange import Misbehaviour

PATIENCE_S = 10.0
OK = Answer()
POST = b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
OK_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def echo(request: ReceivedRequest) -> Answer:
    return Answer(headers={"X-Path": request.path}, body=request.body)


@pytest.fixture(params=[False, True], ids=["here", "threads"])
def blocking(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def echoing(blocking: bool) -> Iterator[HttpEndpoint]:
    with HttpEndpoint(echo, blocking=blocking) as endpoint:
        yield endpoint


def echoed(path: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nX-Path: {path}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


ECHOED_POST = echoed("/hook", b"ab")


def connected(endpoint: HttpEndpoint) -> socket.socket:
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


def test_connections_are_refused_and_accepted_again_on_the_same_port(echoing: HttpEndpoint) -> None:
    with connected(echoing) as sock:
        sock.sendall(POST)
        received(sock, 10)
        echoing.refuse_connections()
        rest_of(sock)
        with pytest.raises(ConnectionRefusedError):
            connected(echoing)
    echoing.accept_connections()
    assert response_to(echoing) == (200, b"")


def test_a_port_that_another_has_taken_meanwhile_is_an_error(echoing: HttpEndpoint) -> None:
    echoing.refuse_connections()
    with socket.create_server(("127.0.0.1", echoing.port)), pytest.raises(OSError, match="in use"):
        echoing.accept_connections()


def test_a_taken_port_is_an_error() -> None:
    with HttpEndpoint(echo) as endpoint, pytest.raises(OSError, match="in use"):
        HttpEndpoint(echo, port=endpoint.port)


def test_endpoints_may_share_a_port() -> None:
    with HttpEndpoint(lambda _: Answer(body=b"a"), reuse_port=True) as one:
        with HttpEndpoint(lambda _: Answer(body=b"b"), port=one.port, reuse_port=True):
            assert {response_to(one)[1] for _ in range(100)} == {b"a", b"b"}
        assert response_to(one) == (200, b"a")


def test_a_shared_port_is_shared_again_after_a_refusal() -> None:
    with HttpEndpoint(echo, reuse_port=True) as one, HttpEndpoint(echo, port=one.port, reuse_port=True):
        one.refuse_connections()
        assert response_to(one) == (200, b"")  # the other one answers
        one.accept_connections()
        assert response_to(one) == (200, b"")


def test_stop_closes_open_connections(echoing: HttpEndpoint) -> None:
    with connected(echoing) as idle, connected(echoing) as partial:
        partial.sendall(POST[:30])
        assert response_to(echoing) == (200, b"")
        echoing.stop()
        assert closed(idle)
        assert closed(partial)
    with pytest.raises(ConnectionRefusedError):
        connected(echoing)
    echoing.stop()


def closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_stop_does_not_wait_for_a_blocked_handler() -> None:
    blocked, release = threading.Event(), threading.Event()

    def handle(_request: ReceivedRequest) -> Answer:
        blocked.set()
        release.wait(PATIENCE_S)
        return OK

    with HttpEndpoint(handle, blocking=True) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        assert blocked.wait(PATIENCE_S)
        endpoint.stop()
        assert closed(sock)
    release.set()


def test_a_blocked_handler_keeps_no_other_connection_waiting() -> None:
    release = threading.Event()

    def handle(request: ReceivedRequest) -> Answer:
        if request.body == b"ab":
            release.wait(PATIENCE_S)
        return echo(request)

    with HttpEndpoint(handle, blocking=True) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        assert response_to(endpoint, b"other") == (200, b"other")
        release.set()
        assert received(sock, len(ECHOED_POST)) == ECHOED_POST


def test_an_error_of_the_handler_closes_the_connection_and_is_raised_by_stop(blocking: bool) -> None:
    def fail(_request: ReceivedRequest) -> Answer:
        raise LookupError("as the test says")

    endpoint = HttpEndpoint(fail, blocking=blocking)
    endpoint.start()
    with connected(endpoint) as sock:
        sock.sendall(POST)
        assert rest_of(sock) == b""
    with pytest.raises(LookupError, match="as the test says"):
        endpoint.stop()


def test_run_serves_on_the_calling_thread_until_another_stops_it() -> None:
    threads: list[threading.Thread] = []

    def handle(_request: ReceivedRequest) -> Answer:
        threads.append(threading.current_thread())
        return OK

    endpoint = HttpEndpoint(handle)

    def ask_and_stop() -> None:
        response_to(endpoint)
        endpoint.stop()

    other = threading.Thread(target=ask_and_stop)
    other.start()
    endpoint.run()
    other.join()
    assert threads == [threading.current_thread()]


def test_run_raises_the_error_of_the_handler() -> None:
    def fail(_request: ReceivedRequest) -> Answer:
        endpoint.stop()
        raise LookupError("as the test says")

    endpoint = HttpEndpoint(fail)
    with connected(endpoint) as sock:
        sock.sendall(POST)
        with pytest.raises(LookupError, match="as the test says"):
            endpoint.run()
        assert rest_of(sock) == b""


def test_errors_of_the_handler_go_where_they_are_wanted(blocking: bool) -> None:
    error, errors = LookupError("as the test says"), list[Exception]()

    def fail(_request: ReceivedRequest) -> Answer:
        raise error

    with HttpEndpoint(fail, blocking=blocking, on_error=errors.append) as endpoint, connected(endpoint) as sock:
        sock.sendall(POST)
        assert rest_of(sock) == b""
    assert errors == [error]


def test_an_endpoint_that_never_ran_closes_its_port() -> None:
    endpoint = HttpEndpoint(echo)
    endpoint.stop()
    with pytest.raises(ConnectionRefusedError):
        connected(endpoint)


def test_a_connection_without_requests_is_closed(blocking: bool) -> None:
    late = Answer(delay_s=0.6)
    with (
        HttpEndpoint(lambda _: late, idle_s=0.2, blocking=blocking) as endpoint,
        connected(endpoint) as idle,
        connected(endpoint) as waiting,
    ):
        waiting.sendall(POST)
        idle.sendall(POST[:10])
        assert rest_of(idle) == b""
        assert received(waiting, len(OK_RESPONSE)) == OK_RESPONSE
        assert rest_of(waiting) == b""
