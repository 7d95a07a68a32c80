"""An endpoint opens and closes its port and its connections, and tells the errors of its handler."""

import socket
import threading

import pytest

from tests.harness.endpoint_clients import (
    ECHOED_POST,
    OK,
    OK_RESPONSE,
    PATIENCE_S,
    POST,
    connected,
    echo,
    received,
    response_to,
    rest_of,
)
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest


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
