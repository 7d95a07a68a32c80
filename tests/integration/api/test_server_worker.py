"""The loop of the API's worker process, driven by hand: answers that are not read, memory, and connections that end.

Oracle: gunicorn's own worker class with this loop, over pairs of connected sockets; no process, and no thread but one.
"""

import socket
from collections.abc import Iterator
from concurrent.futures import Future
from selectors import EVENT_READ, DefaultSelector
from time import monotonic

import pytest
from flask import Flask
from gunicorn.config import Config
from gunicorn.glogging import Logger

from api import server_worker
from api.server_worker import BufferingWorker, Connection

WAIT_S = 20.0
SIZE_BYTES = 10_000_000
"""More than the buffers of a connection take."""
GET = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"


class DrivenWorker(BufferingWorker):
    """The worker with the ends of the connections that the tests have opened."""

    opened: list[socket.socket]


@pytest.fixture
def worker(app: Flask) -> Iterator[DrivenWorker]:
    """A worker process's loop that has not started."""
    config = Config()
    config.set("threads", 1)
    made = DrivenWorker(0, 0, [], app, 30, config, Logger(config))
    made.opened = []
    made.wsgi, made.poller, made.tpool = app, DefaultSelector(), made.get_thread_pool()
    made.method_queue.init()
    made.poller.register(made.method_queue.fileno(), EVENT_READ, made.method_queue.run_callbacks)
    yield made
    made.tpool.shutdown()
    made.poller.close()
    made.method_queue.close()
    made.tmp.close()
    for end in made.opened:
        end.close()


def connected(worker: DrivenWorker) -> tuple[Connection, socket.socket]:
    """A connection of which the worker awaits a request, and the client's end of it."""
    server, client = socket.socketpair()
    worker.opened += [server, client]
    client.settimeout(0.0)
    connection = Connection(worker.cfg, server, ("127.0.0.1", 1), ("127.0.0.1", 2))
    connection.initialized = connection.data_ready = True
    worker.nr_conns += 1
    worker._expect(connection)  # what `accept` does with a connection
    return connection, client


def answered(worker: DrivenWorker, connection: Connection, size_bytes: int, *, kept: bool = True) -> None:
    """The thread of a whole request is done, and has written an answer of this size."""
    connection.incoming.feed(GET)
    worker._stop_reading(connection)  # as for a request that is whole
    assert connection.incoming.finish_body()
    connection.outgoing.sendall(b"x" * size_bytes)
    connection.outgoing.send(connection.sock)
    done: Future[bool] = Future()
    done.set_result(kept)
    worker.finish_request(connection, done)


def turns(worker: DrivenWorker) -> Iterator[None]:
    """Let the loop turn, until the caller has what it waits for."""
    end = monotonic() + WAIT_S
    while monotonic() < end:
        worker.wait_for_and_dispatch_events(0.001)
        yield
    pytest.fail(f"it did not happen within {WAIT_S} s")


def read_all(worker: DrivenWorker, client: socket.socket, wanted: int) -> bytes:
    """What the client reads while the loop turns, until it has as much as wanted or the end."""
    read = bytearray()
    for _ in turns(worker):
        if len(read) >= wanted:
            break
        try:
            data = client.recv(1_000_000)
        except BlockingIOError:
            continue
        if not data:
            break
        read += data
    return bytes(read)


def test_an_answer_that_is_not_read_at_once_arrives_whole(worker: DrivenWorker) -> None:
    connection, client = connected(worker)
    with client:
        answered(worker, connection, SIZE_BYTES)
        assert not worker.keepalived_conns
        assert read_all(worker, client, SIZE_BYTES) == b"x" * SIZE_BYTES
        worker.wait_for_and_dispatch_events(0)
        assert list(worker.keepalived_conns) == [connection]
        assert worker._held_bytes == 0  # nothing is kept for a connection that only waits


def test_a_connection_that_is_not_kept_is_closed_after_its_answer(worker: DrivenWorker) -> None:
    connection, client = connected(worker)
    with client:
        answered(worker, connection, SIZE_BYTES, kept=False)
        assert len(read_all(worker, client, SIZE_BYTES + 1)) == SIZE_BYTES
    worker.wait_for_and_dispatch_events(0)
    assert worker.nr_conns == 0


@pytest.mark.parametrize("step", ["answer", "end"])
def test_a_client_that_never_reads_or_closes_is_dropped(worker: DrivenWorker, step: str) -> None:
    connection, client = connected(worker)
    with client:
        answered(worker, connection, SIZE_BYTES if step == "answer" else 0, kept=False)
        worker.murder_pending()
        assert worker.nr_conns == 1
        connection.deadline = worker._next_check = 0.0  # the time has come
        worker.murder_pending()
    assert (worker.nr_conns, worker._held_bytes) == (0, 0)


def test_a_client_that_leaves_before_its_answer_is_dropped(worker: DrivenWorker) -> None:
    connection, client = connected(worker)
    with client:
        answered(worker, connection, SIZE_BYTES)
    for _ in turns(worker):
        if not worker.nr_conns:
            break
    assert worker._held_bytes == 0


def test_a_client_that_leaves_before_it_is_asked_for_its_body_is_dropped(worker: DrivenWorker) -> None:
    _, client = connected(worker)
    client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    client.close()
    for _ in turns(worker):
        if not worker.nr_conns:
            break
    assert worker._held_bytes == 0


def test_requests_take_a_bounded_part_of_the_memory(worker: DrivenWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_worker, "HELD_BYTES", 30_000)
    clients = [connected(worker)[1] for _ in range(10)]
    body = b"POST /1/Subscription HTTP/1.1\r\nContent-Length: 15000\r\n\r\n" + b" " * 14_000
    for client in clients:
        client.sendall(body)
        worker.wait_for_and_dispatch_events(0)
    refused = [client for client in clients if _reads_refusal(client)]
    assert 0 < len(refused) < len(clients)
    assert worker._held_bytes <= 30_000 + 20_000  # and the largest body of these settings


def _reads_refusal(client: socket.socket) -> bool:
    try:
        answer = client.recv(10_000)
    except BlockingIOError:
        return False
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert b'"code": "overloaded"' in answer
    return True


def test_a_whole_request_is_answered_by_a_thread(worker: DrivenWorker) -> None:
    _, client = connected(worker)
    with client:
        client.sendall(GET + GET)
        answer = b""
        while answer.count(b"HTTP/1.1 404") < 2:
            answer += read_all(worker, client, 1)
    assert answer.count(b"application/problem+json") == 2
