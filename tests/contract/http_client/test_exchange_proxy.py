"""Endpoints behind an egress proxy: CONNECT requests, the proxy's responses, and what must never reach the proxy."""

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.http_testbed import QUICK, HttpTestbed, code, holds_on_loop, post, response
from tests.harness.scripted_proxy import CONNECTED, ScriptedProxy, url
from webhookd import __version__
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.target import Target

BIG = b"0123456789abcdef" * (4 * 1024 * 1024 // 16)
NAME = "endpoint.test"


def endpoint(testbed: HttpTestbed, script: Callable[[Peer], None]) -> HostileServer:
    """A server with the name `endpoint.test`, which only the proxy can resolve."""
    return testbed.serve(script, testbed.authority.context(NAME) if testbed.tls else None)


def via_proxy(testbed: HttpTestbed, script: ScriptedProxy, *, times: int = 1) -> tuple[list[Outcome], HostileServer]:
    """The outcomes of requests through the proxy to an endpoint that always answers, and that endpoint."""
    server = endpoint(testbed, answering(*[OK] * times))
    target = testbed.target(server, NAME)
    sequence = testbed.submit(testbed.loop(proxy=url(testbed.proxy(script)), allow=()), target, *[post(target)] * times)
    return sequence.wait(), server


def detail(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure), outcome
    assert not outcome.sent, "the endpoint received nothing"
    return outcome.detail


def test_connect_names_host_and_port(testbed: HttpTestbed) -> None:
    proxy = ScriptedProxy()
    outcomes, server = via_proxy(testbed, proxy)
    assert response(outcomes[0]).body == b"ok"
    place = f"{NAME}:{server.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", f"User-Agent: webhookd/{__version__}", "", ""]
    assert proxy.requests == ["\r\n".join(lines).encode()]


def test_many_requests_share_one_tunnel(testbed: HttpTestbed) -> None:
    proxy = ScriptedProxy()
    outcomes, server = via_proxy(testbed, proxy, times=20)
    assert [response(outcome).status for outcome in outcomes] == [200] * 20
    assert (len(proxy.requests), server.accepted) == (1, 1)


def test_next_sequence_takes_the_idle_tunnel(testbed: HttpTestbed) -> None:
    proxy = ScriptedProxy()
    target = testbed.target(endpoint(testbed, answering(OK, OK)), NAME)
    loop = testbed.loop(proxy=url(testbed.proxy(proxy)))
    for _ in range(2):
        assert response(testbed.submit(loop, target).wait()[0]).status == 200
    assert len(proxy.requests) == 1


def test_each_endpoint_has_tunnels_of_its_own(testbed: HttpTestbed) -> None:
    proxy = ScriptedProxy()
    loop = testbed.loop(proxy=url(testbed.proxy(proxy)))
    for body in (b"one", b"two"):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body
        target = testbed.target(endpoint(testbed, answering(answer, answer)), NAME)
        assert response(testbed.submit(loop, target).wait()[0]).body == body
    assert len(proxy.requests) == 2


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway", "302 X"])
def test_refusal_of_the_proxy_is_named(testbed: HttpTestbed, status: str) -> None:
    proxy = ScriptedProxy(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode())
    outcomes, server = via_proxy(testbed, proxy)
    assert code(outcomes[0]) is FailureCode.PROXY_REFUSED
    assert detail(outcomes[0]) == f"the proxy answered {status}"
    assert (len(proxy.requests), server.accepted) == (1, 0)


def test_each_request_connects_again_after_a_refusal(plain_testbed: HttpTestbed) -> None:
    proxy = ScriptedProxy(b"HTTP/1.1 503 Overloaded\r\n\r\n")
    outcomes, _ = via_proxy(plain_testbed, proxy, times=20)
    assert [code(outcome) for outcome in outcomes] == [FailureCode.PROXY_REFUSED] * 20


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
        b"HTTP/1.1 503 X\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 503 X\r\n" + b"X: y\r\n" * 10_000,
        b"HTTP/1.1 503 Cut",
        b"",
    ],
    ids=["ssh", "tls", "http-2", "no-status", "upgrade", "interim", "long", "many", "cut", "nothing"],
)
def test_malformed_proxy_response_fails(plain_testbed: HttpTestbed, answer: bytes) -> None:
    outcomes, server = via_proxy(plain_testbed, ScriptedProxy(answer))
    expected = FailureCode.PROXY_REFUSED if b" 101 " in answer else FailureCode.PROXY_FAILED
    assert code(outcomes[0]) is expected
    assert detail(outcomes[0])
    assert server.accepted == 0


def test_bytes_sent_with_the_answer_fail(testbed: HttpTestbed) -> None:
    outcomes, _ = via_proxy(testbed, ScriptedProxy(CONNECTED + OK))
    assert code(outcomes[0]) is FailureCode.PROXY_FAILED
    assert detail(outcomes[0]) == "the proxy sent bytes after its answer"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + CONNECTED,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    ],
    ids=["interim", "http-1.0", "other-2xx", "length-to-ignore"],
)
def test_any_success_opens_the_tunnel(testbed: HttpTestbed, answer: bytes) -> None:
    outcomes, _ = via_proxy(testbed, ScriptedProxy(answer), times=2)
    assert [response(outcome).body for outcome in outcomes] == [b"ok", b"ok"]


def test_answer_byte_by_byte_is_put_together(testbed: HttpTestbed) -> None:
    outcomes, _ = via_proxy(testbed, ScriptedProxy(CONNECTED, slices=True))
    assert response(outcomes[0]).status == 200


def test_reset_before_the_answer_fails(plain_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.reset()

    loop = plain_testbed.loop(proxy=url(plain_testbed.proxy(script)))
    assert code(plain_testbed.submit(loop, Target.parse("http://e.test/")).wait()[0]) is FailureCode.PROXY_FAILED


def test_silent_proxy_times_out(testbed: HttpTestbed) -> None:
    proxy = testbed.proxy(Peer.wait_closed)
    loop = testbed.loop(replace(QUICK, connect_timeout_s=0.1), proxy=url(proxy))
    failure = testbed.submit(loop, Target.parse("http://e.test/")).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT
    assert 0.1 <= failure.elapsed_s < 1.0
    assert holds_on_loop(loop, lambda: loop.connections == 0)


def test_waiting_for_the_proxy_causes_no_events(plain_testbed: HttpTestbed) -> None:
    requested = threading.Event()

    def script(peer: Peer) -> None:
        peer.request_head()
        requested.set()
        peer.wait_closed()

    loop = plain_testbed.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_testbed.proxy(script)))
    plain_testbed.submit(loop, Target.parse("http://e.test/"))
    assert requested.wait(5)
    assert holds_on_loop(loop, lambda: loop.connections == 1)
    assert loop._poller.poll(0.0) == []


def test_dripping_proxy_times_out(plain_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000, pause_s=0.01)

    loop = plain_testbed.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_testbed.proxy(script)))
    failure = plain_testbed.submit(loop, Target.parse("http://e.test/"), deadline_s=0.1).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT
    assert failure.elapsed_s < 1.0


def test_stop_ends_a_dial_at_the_proxy(plain_testbed: HttpTestbed) -> None:
    loop = plain_testbed.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_testbed.proxy(Peer.wait_closed)))
    sequence = plain_testbed.submit(loop, Target.parse("http://e.test/"))
    assert holds_on_loop(loop, lambda: loop.connections == 1)
    loop.stop(0.0)
    assert [code(outcome) for outcome in sequence.outcomes] == [FailureCode.SHUTDOWN]
    assert loop.connections == 0


def test_closed_port_of_the_proxy_is_its_failure(testbed: HttpTestbed) -> None:
    with HostileServer(answering()) as gone:
        pass
    failure = testbed.submit(testbed.loop(proxy=url(gone)), Target.parse("https://e.test/")).wait()[0]
    assert code(failure) is FailureCode.PROXY_FAILED
    assert detail(failure) == "the proxy: ECONNREFUSED"


def test_unknown_name_of_the_proxy_is_its_failure(plain_testbed: HttpTestbed) -> None:
    loop = plain_testbed.loop(proxy="http://proxy.test:3128")
    failure = plain_testbed.submit(loop, Target.parse("http://e.test/")).wait()[0]
    assert code(failure) is FailureCode.PROXY_FAILED
    assert "no test resolver for proxy.test:3128" in detail(failure)


def test_hanging_lookup_of_the_proxy_is_its_failure(plain_testbed: HttpTestbed) -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        release.wait(5)
        raise OSError(f"{host}:{port} hangs")

    loop = plain_testbed.loop(replace(QUICK, lookup_timeout_s=60.0), proxy="http://proxy.test:3128", resolver=resolver)
    failure = plain_testbed.submit(loop, Target.parse("http://e.test/"), deadline_s=0.1).wait()[0]
    release.set()
    assert code(failure) is FailureCode.PROXY_FAILED


def test_proxys_addresses_are_tried_in_turn(testbed: HttpTestbed) -> None:
    script = ScriptedProxy()
    place = ("proxy.test", testbed.proxy(script).port)
    target = testbed.target(endpoint(testbed, answering(OK)), NAME)
    loop = testbed.loop(
        proxy=f"http://{place[0]}:{place[1]}",
        resolver=lambda host, port: ("127.0.0.7", "127.0.0.1") if (host, port) == place else (),
    )
    assert response(testbed.submit(loop, target).wait()[0]).status == 200
    assert len(script.requests) == 1


def test_refused_connect_is_not_repeated(plain_testbed: HttpTestbed) -> None:
    script = ScriptedProxy(b"HTTP/1.1 403 No\r\n\r\n")
    port = plain_testbed.proxy(script).port
    loop = plain_testbed.loop(proxy=f"http://proxy.test:{port}", resolver=lambda *_: ["127.0.0.1"] * 3)
    assert code(plain_testbed.submit(loop, Target.parse("http://e.test/")).wait()[0]) is FailureCode.PROXY_REFUSED
    assert len(script.requests) == 1


def test_next_proxy_address_follows_a_broken_one(plain_testbed: HttpTestbed) -> None:
    script = ScriptedProxy()

    def broken_at_first(peer: Peer) -> None:
        if peer.number:
            script(peer)

    port = plain_testbed.proxy(broken_at_first).port
    loop = plain_testbed.loop(proxy=f"http://proxy.test:{port}", resolver=lambda *_: ["127.0.0.1"] * 2)
    target = plain_testbed.target(endpoint(plain_testbed, answering(OK)), NAME)
    assert response(plain_testbed.submit(loop, target).wait()[0]).status == 200


def test_closed_tunnel_is_replaced_without_failure(testbed: HttpTestbed) -> None:
    script = ScriptedProxy()
    target = testbed.target(endpoint(testbed, answering(OK)), NAME)
    outcomes = testbed.submit(testbed.loop(proxy=url(testbed.proxy(script))), target, *[post(target)] * 5).wait()
    assert [response(outcome).status for outcome in outcomes] == [200] * 5
    assert len(script.requests) == 5


def test_tunnel_that_ends_in_the_status_line_fails(testbed: HttpTestbed) -> None:
    target = testbed.target(endpoint(testbed, answering(OK, b"HTTP/1.1 200")), NAME)
    outcomes = testbed.submit(
        testbed.loop(proxy=url(testbed.proxy(ScriptedProxy()))), target, *[post(target)] * 2
    ).wait()
    assert code(outcomes[1]) is FailureCode.CONNECTION_RESET


def test_big_body_goes_through_the_tunnel(testbed: HttpTestbed) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        peer.request_head()
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)

    target = testbed.target(endpoint(testbed, script), NAME)
    outcomes = testbed.submit(testbed.loop(proxy=url(testbed.proxy(ScriptedProxy()))), target, post(target, BIG)).wait()
    assert response(outcomes[0]).status == 200
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_many_sequences_go_through_one_proxy(testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            body = request.rpartition(b"\r\n\r\n")[2]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if body.endswith(b"7"):
                return

    target = testbed.target(endpoint(testbed, script), NAME)
    loop = testbed.loop(replace(QUICK, connect_timeout_s=5.0), proxy=url(testbed.proxy(ScriptedProxy())))
    bodies = [[b"%d/%d" % (number, at) for at in range(20)] for number in range(16)]
    sequences = [testbed.submit(loop, target, *[post(target, body) for body in some]) for some in bodies]
    assert [[response(outcome).body for outcome in sequence.wait()] for sequence in sequences] == bodies


def test_certificate_must_be_the_endpoints(tls_testbed: HttpTestbed) -> None:
    script = ScriptedProxy()
    server = tls_testbed.serve(answering(OK), tls_testbed.authority.context("127.0.0.1", "localhost"))
    loop = tls_testbed.loop(proxy=url(tls_testbed.proxy(script)))
    failure = tls_testbed.submit(loop, tls_testbed.target(server, NAME)).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED
    assert NAME in detail(failure)
    assert len(script.requests) == 1


def test_next_tunnel_resumes_the_tls_session(tls_testbed: HttpTestbed) -> None:
    resumed: list[bool] = []

    def script(peer: Peer) -> None:
        resumed.append(peer.resumed)
        peer.answer(OK)

    target = tls_testbed.target(endpoint(tls_testbed, script), NAME)
    loop = tls_testbed.loop(proxy=url(tls_testbed.proxy(ScriptedProxy())))
    tls_testbed.submit(loop, target, *[post(target)] * 3).wait()
    assert resumed == [False, True, True]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "0x7f.1", "2130706433", "127.1", "127.1."])
def test_refused_address_never_reaches_the_proxy(testbed: HttpTestbed, host: str) -> None:
    proxy = testbed.proxy(ScriptedProxy())
    target = Target.parse(f"{'https' if testbed.tls else 'http'}://{host}/")
    failure = testbed.submit(testbed.loop(proxy=url(proxy), allow=()), target).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert detail(failure).rpartition(" ")[2] in {"loopback", "private"}
    assert proxy.accepted == 0


def test_slow_loop_does_not_turn_a_refusal_into_a_lookup_timeout(plain_testbed: HttpTestbed) -> None:
    always_late = replace(QUICK, lookup_timeout_s=0.0, sweep_interval_s=0.0)
    loop = plain_testbed.loop(always_late, proxy=url(plain_testbed.proxy(ScriptedProxy())), allow=())
    failure = plain_testbed.submit(loop, Target.parse("http://127.0.0.1/")).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED


@pytest.mark.parametrize(
    ("host", "place"),
    [("1.1.1.1", b"1.1.1.1:443"), ("0x01.0x10101", b"1.1.1.1:443"), ("[2606:4700::1]", b"[2606:4700::1]:443")],
)
def test_connect_names_the_checked_address(plain_testbed: HttpTestbed, host: str, place: bytes) -> None:
    script = ScriptedProxy(b"HTTP/1.1 403 No\r\n\r\n")
    loop = plain_testbed.loop(proxy=url(plain_testbed.proxy(script)), allow=())
    plain_testbed.submit(loop, Target.parse(f"https://{host}/")).wait()
    assert [request.split()[1] for request in script.requests] == [place]


def test_allowed_address_goes_through_the_proxy(testbed: HttpTestbed) -> None:
    script = ScriptedProxy()
    server = testbed.serve(answering(OK))
    loop = testbed.loop(proxy=url(testbed.proxy(script)))
    assert response(testbed.submit(loop, testbed.target(server)).wait()[0]).status == 200
    assert len(script.requests) == 1


def test_credentials_are_for_the_proxy_alone(testbed: HttpTestbed) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(OK)

    proxy = ScriptedProxy()
    target = testbed.target(endpoint(testbed, script), NAME)
    loop = testbed.loop(proxy=url(testbed.proxy(proxy), login="user:p%40ss%3Aword"))
    assert response(testbed.submit(loop, target).wait()[0]).status == 200
    expected = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss:word")
    assert expected in proxy.requests[0].split(b"\r\n")
    assert seen == [post(target)]
