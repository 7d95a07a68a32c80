"""The times at which the pool closes idle connections, on a clock that the test moves."""

import contextlib
import socket

from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.connection_pool import ConnectionPool
from webhookd.edges.http_client.limits import Limits, Origin
from webhookd.edges.http_client.poller import Poller

ORIGINS: tuple[Origin, ...] = ((False, "127.0.0.1", 1, None), (False, "127.0.0.1", 1, "other options"))


def test_each_connection_ends_at_its_own_time() -> None:
    limits = Limits()
    pool = ConnectionPool(limits)
    poller = Poller()
    with contextlib.closing(poller), socket.create_server(("127.0.0.1", 0)) as server:
        for origin, head in zip(
            ORIGINS, (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5"), strict=True
        ):
            connection = Connection(pool, poller, limits, origin, None, None, lambda _: None)
            connection.connect("127.0.0.1", server.getsockname()[1])
            connection.reader.head = head
            pool.release(connection, 100.0)
        lengths = []
        for now in (103.9, 104.0, 129.9, 130.0):
            pool.sweep(now)
            lengths.append(len(pool))
        assert lengths == [2, 1, 1, 0]
        assert not poller.registered


def test_connection_that_is_used_all_the_time_ends_at_its_age() -> None:
    pool = ConnectionPool(limits := Limits())
    poller = Poller()
    with contextlib.closing(poller), socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(pool, poller, limits, ORIGINS[0], None, None, lambda _: None)
        connection.connect("127.0.0.1", server.getsockname()[1])
        kept = []
        for now in (100.0, 100.0 + limits.connection_age_s - 0.1, 100.0 + limits.connection_age_s):
            pool.release(connection, now)
            kept.append(pool.acquire(ORIGINS[0]) is connection)
        assert kept == [True, True, False]
        assert not poller.registered


def test_connections_are_kept_by_origin_and_tls_options() -> None:
    limits = Limits()
    pool = ConnectionPool(limits)
    poller = Poller()
    with contextlib.closing(poller), socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(pool, poller, limits, ORIGINS[0], None, None, lambda _: None)
        connection.connect("127.0.0.1", server.getsockname()[1])
        pool.release(connection, 100.0)
        assert pool.acquire(ORIGINS[1]) is None
        assert pool.acquire(ORIGINS[0]) is connection
        connection.close()
