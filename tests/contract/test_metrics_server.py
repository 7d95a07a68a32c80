"""The server of metrics on real sockets of loopback: what it answers, and that a taken port stops nothing.

Oracles: http.client of the standard library, and prometheus-client's parsers of both formats.
"""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from errno import EMFILE
from itertools import pairwise
from select import select
from threading import Event
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from tests.harness.captured_lines import PATIENCE_S, CapturedLines, captured_lines
from webhookd.metrics.catalogue.ingest import LEASES_EXPIRED
from webhookd.metrics.declaration import EVERY
from webhookd.metrics.samples import Sample
from webhookd.metrics.scrape_server import ScrapeLimits
from webhookd.metrics_server import MetricsServer, listen
from webhookd.settings import Settings

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"


def new_server(bind: str = "127.0.0.1:0", **options: object) -> MetricsServer:
    return MetricsServer(Settings(metrics_bind=bind), EVERY, **options)  # type: ignore[arg-type]  # options of a test


def started(server: MetricsServer) -> MetricsServer:
    server.start()
    assert server.listening.wait(PATIENCE_S)
    return server


@pytest.fixture
def lines() -> Iterator[CapturedLines]:
    with captured_lines() as kept:
        yield kept


@pytest.fixture
def server(lines: CapturedLines) -> Iterator[MetricsServer]:
    del lines
    running = started(new_server())
    yield running
    running.stop()


def ask(
    port: int, path: str = "/metrics", method: str = "GET", accept: str = "", host: str = "127.0.0.1"
) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer, answer.read()


def values(body: bytes) -> dict[str, float]:
    return {sample.name: sample.value for family in parse_text(body.decode()) for sample in family.samples}


def test_it_serves_what_the_process_counts(server: MetricsServer) -> None:
    LEASES_EXPIRED.inc(by=2)
    answer, body = ask(server.port)
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert values(body)["webhookd_leases_expired_total"] == 2
    assert {"process_cpu_seconds_total", "webhookd_build_info"} <= values(body).keys()


@pytest.mark.parametrize("accept", [OPENMETRICS, f"{PROTOBUF};q=0.7,{OPENMETRICS};q=0.6,*/*;q=0.1"])
def test_it_serves_openmetrics_to_those_who_accept_it(server: MetricsServer, accept: str) -> None:
    answer, body = ask(server.port, accept=accept)
    assert str(answer.getheader("Content-Type")).startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert "webhookd_leases_expired" in {family.name for family in parse_openmetrics(body.decode())}


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
def test_all_others_get_text(server: MetricsServer, accept: str) -> None:
    answer, body = ask(server.port, accept=accept)
    assert str(answer.getheader("Content-Type")).startswith("text/plain")
    assert "webhookd_leases_expired_total" in values(body)


def test_head_has_the_length_and_no_body(server: MetricsServer) -> None:
    answer, body = ask(server.port, method="HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.getheader("Content-Length", "0")) > 1000


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/favicon.ico"])
def test_other_paths_are_not_found(server: MetricsServer, path: str) -> None:
    answer, body = ask(server.port, path)
    assert (answer.status, body) == (404, b"only /metrics is here\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server: MetricsServer, method: str) -> None:
    answer, _ = ask(server.port, method=method)
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")


def test_a_slow_client_does_not_block_others(server: MetricsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /metr")
        assert ask(server.port)[0].status == 200


def closed(client: socket.socket) -> bool:
    """Wait until the server closes a connection; a byte that it has not read makes it a reset."""
    client.settimeout(PATIENCE_S)
    with suppress(ConnectionError):
        return client.recv(1) == b""
    return True


def wait_for_a_free_place(port: int) -> None:
    """Ask until the server answers; the thread of another client ends a little after the client."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(ConnectionError):
            assert ask(port)[0].status == 200
            return
    pytest.fail("no place became free")


def test_more_clients_than_allowed_are_closed_until_another_one_leaves(lines: CapturedLines) -> None:
    del lines
    server = started(new_server(limits=ScrapeLimits(clients=2, request_s=3600.0)))
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
    for client in slow:
        client.sendall(b"GET /metr")
    with socket.create_connection(("127.0.0.1", server.port)) as refused:
        assert closed(refused)
    slow[0].close()
    wait_for_a_free_place(server.port)
    slow[1].close()
    server.stop()


def test_a_client_that_goes_on_sending_is_ended_in_time(lines: CapturedLines) -> None:
    del lines
    server = started(new_server(limits=ScrapeLimits(clients=1, request_s=0.2)))
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /")
        deadline = time.monotonic() + PATIENCE_S
        while not select([slow], [], [], 0.02)[0] and time.monotonic() < deadline:
            slow.sendall(b"m")
        assert closed(slow)
    wait_for_a_free_place(server.port)
    server.stop()


def test_a_client_that_does_not_read_is_ended_in_time(lines: CapturedLines) -> None:
    del lines
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Long())
    server = started(new_server(registry=registry, limits=ScrapeLimits(clients=1, request_s=2.0)))
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert select([slow], [], [], PATIENCE_S)[0], "the response has begun"
        wait_for_a_free_place(server.port)
    server.stop()


class Long(Collector):
    """Has more than the buffers of a connection take."""

    def collect(self) -> Iterator[Metric]:
        """Return one family with a long help text."""
        yield Metric("long", "x" * 20_000_000, "gauge")


class FullListener(socket.socket):
    """Accepts nothing for a time, as when the process has no descriptor left."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen()
        self._failures = failures
        self.accepts: list[float] = []
        self.failed = Event()

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises OSError the first times."""
        self.accepts.append(time.monotonic())
        if len(self.accepts) <= self._failures:
            self.failed.set()
            raise OSError(EMFILE, "Too many open files")
        return super().accept()


def test_without_a_descriptor_it_waits_before_it_accepts_again(lines: CapturedLines) -> None:
    del lines
    listener = FullListener(failures=3)
    server = started(new_server(listener=listener, limits=ScrapeLimits(accept_retry_s=0.05)))
    assert ask(server.port)[0].status == 200
    pauses = [later - earlier for earlier, later in pairwise(listener.accepts[:4])]
    assert min(pauses) > 0.04, pauses
    server.stop()


def test_stop_does_not_wait_for_a_descriptor(lines: CapturedLines) -> None:
    del lines
    listener = FullListener(failures=1)
    server = started(new_server(listener=listener, limits=ScrapeLimits(accept_retry_s=3600.0)))
    with socket.create_connection(("127.0.0.1", server.port)):
        assert listener.failed.wait(PATIENCE_S)
        server.stop()
    assert listener.fileno() == -1
    assert len(listener.accepts) == 1


def test_a_client_that_leaves_hurts_nobody(server: MetricsServer, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as left:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed by RST
        left.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert ask(server.port)[0].status == 200
    assert capfd.readouterr().err == ""


def test_it_serves_ipv6(lines: CapturedLines) -> None:
    server = started(new_server("[::1]:0"))
    assert ask(server.port, host="::1")[0].status == 200
    assert lines.wait_for("metrics_served")["address"] == f"[::1]:{server.port}"
    server.stop()


def test_stop_closes_the_port_and_unbinds_the_metrics(server: MetricsServer) -> None:
    LEASES_EXPIRED.inc()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(server.port)
    with closing(socket.create_server(("127.0.0.1", server.port))):
        pass
    LEASES_EXPIRED.inc()
    again = started(new_server())
    assert values(ask(again.port)[1])["webhookd_leases_expired_total"] == 0
    again.stop()


def test_the_second_process_of_a_range_takes_the_next_port(server: MetricsServer) -> None:
    first = server.port
    taken = listen(f"127.0.0.1:{first}-{first + 20}")
    assert taken is not None
    with closing(taken):
        assert first < taken.getsockname()[1] <= first + 20


def test_a_taken_port_is_tried_again_until_it_is_free(lines: CapturedLines) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    server = new_server(f"127.0.0.1:{port}", retry_s=0.01)
    server.start()
    LEASES_EXPIRED.inc()
    line = lines.wait_for("metrics_not_served")
    assert (line["log_level"], line["address"]) == ("warning", f"127.0.0.1:{port}")
    assert not server.listening.is_set()
    taken.close()
    assert server.listening.wait(PATIENCE_S)
    assert values(ask(port)[1])["webhookd_leases_expired_total"] == 1
    server.stop()


def test_stop_does_not_wait_for_a_port(lines: CapturedLines) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = new_server(f"127.0.0.1:{taken.getsockname()[1]}", retry_s=3600.0)
        server.start()
        lines.wait_for("metrics_not_served")
        server.stop()
    assert not server.listening.is_set()


def test_without_an_address_nothing_is_served(lines: CapturedLines) -> None:
    server = new_server("")
    server.start()
    server.stop()
    assert server.sources is None
    assert (server.port, lines.of("metrics_served"), lines.of("metrics_not_served")) == (0, [], [])


def test_a_source_that_fails_is_logged_and_the_rest_served(server: MetricsServer, lines: CapturedLines) -> None:
    def broken() -> list[Sample]:
        raise LookupError("no lane")

    assert server.sources is not None
    server.sources.add_source(broken)
    answer, body = ask(server.port)
    assert answer.status == 200
    assert "webhookd_leases_expired_total" in values(body)
    line = lines.wait_for("metrics_incomplete")
    assert (line["log_level"], str(line["exc_info"])) == ("error", "no lane")


def test_a_reading_that_fails_is_logged_and_answered(lines: CapturedLines, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(Collector):
        """Cannot be read."""

        def collect(self) -> Iterator[Metric]:
            """Raises OSError."""
            raise OSError("disk full")

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Broken())
    server = started(new_server(registry=registry))
    answer, body = ask(server.port)
    assert (answer.status, body) == (500, b"the metrics could not be read; the log says why\n")
    assert str(lines.wait_for("metrics_incomplete")["exc_info"]) == "disk full"
    assert capfd.readouterr().err == ""
    server.stop()


def test_the_address_that_is_logged_is_the_one_to_ask(server: MetricsServer, lines: CapturedLines) -> None:
    assert lines.wait_for("metrics_served")["address"] == f"127.0.0.1:{server.port}"
