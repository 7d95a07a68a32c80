"""The server of metrics on real sockets of loopback: what it answers, and that a taken port stops nothing.

Oracles: http.client of the standard library, and prometheus-client's parsers of both formats.
"""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing

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
