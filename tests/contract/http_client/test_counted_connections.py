"""Connections are counted when they open, by scheme; and at any moment as busy or idle."""

from tests.harness.hostile_server import OK, Peer
from tests.harness.http_testbed import HttpTestbed, holds_on_loop, post
from tests.harness.metrics import LiveMetrics
from webhookd.flow.attempt.target import Target

OPENED = "webhookd_connections_opened_total"


def test_kept_connection_counts_once_and_is_idle_afterwards(testbed: HttpTestbed, live_metrics: LiveMetrics) -> None:
    def polite(peer: Peer) -> None:
        while peer.request():
            peer.send(OK)

    loop, target = testbed.loop(), testbed.target(testbed.serve(polite))
    assert len(testbed.submit(loop, target, *[post(target)] * 3).wait()) == 3
    assert holds_on_loop(loop, lambda: (loop.connections, loop.idle_connections) == (1, 1))
    seen = live_metrics.read()
    scheme = "https" if testbed.tls else "http"
    assert [(one.labels, one.value) for one in seen.series(OPENED)] == [({"scheme": scheme}, 1)]


def test_connection_with_an_open_request_is_not_idle(testbed: HttpTestbed) -> None:
    def slow(peer: Peer) -> None:
        peer.request()
        peer.wait_closed()

    loop = testbed.loop()
    testbed.submit(loop, testbed.target(testbed.serve(slow)), deadline_s=30.0)
    assert holds_on_loop(loop, lambda: (loop.connections, loop.idle_connections) == (1, 0))


def test_connection_that_does_not_open_is_not_counted(testbed: HttpTestbed, live_metrics: LiveMetrics) -> None:
    loop = testbed.loop(allow=())
    testbed.submit(loop, Target.parse("http://127.0.0.1:9/")).wait()
    seen = live_metrics.read()
    assert seen.series(OPENED) == []
    assert seen.value("webhookd_egress_refusals_total", code="address_refused", rule="loopback") == 1
