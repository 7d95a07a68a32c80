"""Endpoints behind an egress proxy: what it is asked, what it may answer, and what it must never be asked."""

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.running_service import QUICK, Stage, code, comes_true, post, response
from tests.harness.scripted_proxy import CONNECTED, ScriptedProxy, url
from webhookd import __version__
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.target import Target

BIG = b"0123456789abcdef" * (4 * 1024 * 1024 // 16)
NAME = "endpoint.test"


def endpoint(stage: Stage, script: Callable[[Peer], None]) -> HostileServer:
    """A server called `endpoint.test`, a name that only the proxy knows."""
    return stage.serve(script, stage.authority.context(NAME) if stage.tls else None)


def through(stage: Stage, script: ScriptedProxy, *, times: int = 1) -> tuple[list[Outcome], HostileServer]:
    """What comes of requests to an endpoint that always answers, and that endpoint."""
    server = endpoint(stage, answering(*[OK] * times))
    target = stage.target(server, NAME)
    sequence = stage.submit(stage.loop(proxy=url(stage.proxy(script)), allow=()), target, *[post(target)] * times)
    return sequence.wait(), server


def detail(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure), outcome
    assert not outcome.sent, "the endpoint has seen nothing"
    return outcome.detail


def test_proxy_is_asked_for_name_and_port(stage: Stage) -> None:
    proxy = ScriptedProxy()
    outcomes, server = through(stage, proxy)
    assert response(outcomes[0]).body == b"ok"
    place = f"{NAME}:{server.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", f"User-Agent: webhookd/{__version__}", "", ""]
    assert proxy.asked == ["\r\n".join(lines).encode()]


def test_many_requests_share_one_tunnel(stage: Stage) -> None:
    proxy = ScriptedProxy()
    outcomes, server = through(stage, proxy, times=20)
    assert [response(outcome).status for outcome in outcomes] == [200] * 20
    assert (len(proxy.asked), server.accepted) == (1, 1)


def test_next_sequence_takes_the_idle_tunnel(stage: Stage) -> None:
    proxy = ScriptedProxy()
    target = stage.target(endpoint(stage, answering(OK, OK)), NAME)
    loop = stage.loop(proxy=url(stage.proxy(proxy)))
    for _ in range(2):
        assert response(stage.submit(loop, target).wait()[0]).status == 200
    assert len(proxy.asked) == 1


def test_each_endpoint_has_tunnels_of_its_own(stage: Stage) -> None:
    proxy = ScriptedProxy()
    loop = stage.loop(proxy=url(stage.proxy(proxy)))
    for body in (b"one", b"two"):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body
        target = stage.target(endpoint(stage, answering(answer, answer)), NAME)
        assert response(stage.submit(loop, target).wait()[0]).body == body
    assert len(proxy.asked) == 2


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway", "302 X"])
def test_refusal_of_the_proxy_is_named(stage: Stage, status: str) -> None:
    proxy = ScriptedProxy(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode())
    outcomes, server = through(stage, proxy)
    assert code(outcomes[0]) is FailureCode.PROXY_REFUSED
    assert detail(outcomes[0]) == f"the proxy answered {status}"
    assert (len(proxy.asked), server.accepted) == (1, 0)


def test_each_request_asks_again_after_a_refusal(plain_stage: Stage) -> None:
    proxy = ScriptedProxy(b"HTTP/1.1 503 Overloaded\r\n\r\n")
    outcomes, _ = through(plain_stage, proxy, times=20)
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
def test_what_is_no_answer_fails(plain_stage: Stage, answer: bytes) -> None:
    outcomes, server = through(plain_stage, ScriptedProxy(answer))
    expected = FailureCode.PROXY_REFUSED if b" 101 " in answer else FailureCode.PROXY_FAILED
    assert code(outcomes[0]) is expected
    assert detail(outcomes[0])
    assert server.accepted == 0


def test_bytes_sent_with_the_answer_fail(stage: Stage) -> None:
    outcomes, _ = through(stage, ScriptedProxy(CONNECTED + OK))
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
def test_any_success_opens_the_tunnel(stage: Stage, answer: bytes) -> None:
    outcomes, _ = through(stage, ScriptedProxy(answer), times=2)
    assert [response(outcome).body for outcome in outcomes] == [b"ok", b"ok"]


def test_answer_byte_by_byte_is_put_together(stage: Stage) -> None:
    outcomes, _ = through(stage, ScriptedProxy(CONNECTED, slices=True))
    assert response(outcomes[0]).status == 200


def test_reset_before_the_answer_fails(plain_stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.hear()
        peer.reset()

    loop = plain_stage.loop(proxy=url(plain_stage.proxy(script)))
    assert code(plain_stage.submit(loop, Target.parse("http://e.test/")).wait()[0]) is FailureCode.PROXY_FAILED


def test_silent_proxy_times_out(stage: Stage) -> None:
    proxy = stage.proxy(Peer.wait_closed)
    loop = stage.loop(replace(QUICK, connect_timeout_s=0.1), proxy=url(proxy))
    failure = stage.submit(loop, Target.parse("http://e.test/")).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT
    assert 0.1 <= failure.elapsed_s < 1.0
    assert comes_true(loop, lambda: loop.connections == 0)


def test_waiting_for_the_proxy_takes_no_turns(plain_stage: Stage) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.request_head()
        asked.set()
        peer.wait_closed()

    loop = plain_stage.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_stage.proxy(script)))
    plain_stage.submit(loop, Target.parse("http://e.test/"))
    assert asked.wait(5)
    assert comes_true(loop, lambda: loop.connections == 1)
    assert loop._readiness.poll(0.0) == []


def test_dripping_proxy_meets_the_deadline(plain_stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.request_head()
        peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000, pause_s=0.01)

    loop = plain_stage.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_stage.proxy(script)))
    failure = plain_stage.submit(loop, Target.parse("http://e.test/"), deadline_s=0.1).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT
    assert failure.elapsed_s < 1.0


def test_stop_ends_a_dial_at_the_proxy(plain_stage: Stage) -> None:
    loop = plain_stage.loop(replace(QUICK, connect_timeout_s=60.0), proxy=url(plain_stage.proxy(Peer.wait_closed)))
    sequence = plain_stage.submit(loop, Target.parse("http://e.test/"))
    assert comes_true(loop, lambda: loop.connections == 1)
    loop.stop(0.0)
    assert [code(outcome) for outcome in sequence.outcomes] == [FailureCode.SHUTDOWN]
    assert loop.connections == 0


def test_closed_port_of_the_proxy_is_its_failure(stage: Stage) -> None:
    with HostileServer(answering()) as gone:
        pass
    failure = stage.submit(stage.loop(proxy=url(gone)), Target.parse("https://e.test/")).wait()[0]
    assert code(failure) is FailureCode.PROXY_FAILED
    assert detail(failure) == "the proxy: ECONNREFUSED"


def test_unknown_name_of_the_proxy_is_its_failure(plain_stage: Stage) -> None:
    loop = plain_stage.loop(proxy="http://proxy.test:3128")
    failure = plain_stage.submit(loop, Target.parse("http://e.test/")).wait()[0]
    assert code(failure) is FailureCode.PROXY_FAILED
    assert "nobody looks up proxy.test:3128" in detail(failure)


def test_hanging_lookup_of_the_proxy_is_its_failure(plain_stage: Stage) -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        release.wait(5)
        raise OSError(f"{host}:{port} hangs")

    loop = plain_stage.loop(replace(QUICK, lookup_timeout_s=60.0), proxy="http://proxy.test:3128", resolver=resolver)
    failure = plain_stage.submit(loop, Target.parse("http://e.test/"), deadline_s=0.1).wait()[0]
    release.set()
    assert code(failure) is FailureCode.PROXY_FAILED


def test_proxys_addresses_are_tried_in_turn(stage: Stage) -> None:
    script = ScriptedProxy()
    place = ("proxy.test", stage.proxy(script).port)
    target = stage.target(endpoint(stage, answering(OK)), NAME)
    loop = stage.loop(
        proxy=f"http://{place[0]}:{place[1]}",
        resolver=lambda host, port: ("127.0.0.7", "127.0.0.1") if (host, port) == place else (),
    )
    assert response(stage.submit(loop, target).wait()[0]).status == 200
    assert len(script.asked) == 1


def test_refusal_is_asked_for_only_once(plain_stage: Stage) -> None:
    script = ScriptedProxy(b"HTTP/1.1 403 No\r\n\r\n")
    port = plain_stage.proxy(script).port
    loop = plain_stage.loop(proxy=f"http://proxy.test:{port}", resolver=lambda *_: ["127.0.0.1"] * 3)
    assert code(plain_stage.submit(loop, Target.parse("http://e.test/")).wait()[0]) is FailureCode.PROXY_REFUSED
    assert len(script.asked) == 1


def test_broken_proxy_makes_way_for_the_next(plain_stage: Stage) -> None:
    script = ScriptedProxy()

    def broken_at_first(peer: Peer) -> None:
        if peer.number:
            script(peer)

    port = plain_stage.proxy(broken_at_first).port
    loop = plain_stage.loop(proxy=f"http://proxy.test:{port}", resolver=lambda *_: ["127.0.0.1"] * 2)
    target = plain_stage.target(endpoint(plain_stage, answering(OK)), NAME)
    assert response(plain_stage.submit(loop, target).wait()[0]).status == 200


def test_closed_tunnel_is_replaced_unnoticed(stage: Stage) -> None:
    script = ScriptedProxy()
    target = stage.target(endpoint(stage, answering(OK)), NAME)
    outcomes = stage.submit(stage.loop(proxy=url(stage.proxy(script))), target, *[post(target)] * 5).wait()
    assert [response(outcome).status for outcome in outcomes] == [200] * 5
    assert len(script.asked) == 5


def test_tunnel_that_ends_in_mid_response_fails(stage: Stage) -> None:
    target = stage.target(endpoint(stage, answering(OK, OK[:-1])), NAME)
    outcomes = stage.submit(stage.loop(proxy=url(stage.proxy(ScriptedProxy()))), target, *[post(target)] * 2).wait()
    assert code(outcomes[1]) is FailureCode.CONNECTION_RESET


def test_big_body_goes_through_the_tunnel(stage: Stage) -> None:
    digests: list[str] = []

    def script(peer: Peer) -> None:
        peer.request_head()
        digests.append(peer.body_digest(len(BIG)))
        peer.send(OK)

    target = stage.target(endpoint(stage, script), NAME)
    outcomes = stage.submit(stage.loop(proxy=url(stage.proxy(ScriptedProxy()))), target, post(target, BIG)).wait()
    assert response(outcomes[0]).status == 200
    assert digests == [hashlib.sha256(BIG).hexdigest()]


def test_many_sequences_go_through_one_proxy(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            body = request.rpartition(b"\r\n\r\n")[2]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if body.endswith(b"7"):
                return

    target = stage.target(endpoint(stage, script), NAME)
    loop = stage.loop(replace(QUICK, connect_timeout_s=5.0), proxy=url(stage.proxy(ScriptedProxy())))
    bodies = [[b"%d/%d" % (number, at) for at in range(20)] for number in range(16)]
    sequences = [stage.submit(loop, target, *[post(target, body) for body in some]) for some in bodies]
    assert [[response(outcome).body for outcome in sequence.wait()] for sequence in sequences] == bodies


def test_certificate_must_be_the_endpoints(tls_stage: Stage) -> None:
    script = ScriptedProxy()
    server = tls_stage.serve(answering(OK), tls_stage.authority.context("127.0.0.1", "localhost"))
    loop = tls_stage.loop(proxy=url(tls_stage.proxy(script)))
    failure = tls_stage.submit(loop, tls_stage.target(server, NAME)).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED
    assert NAME in detail(failure)
    assert len(script.asked) == 1


def test_next_tunnel_resumes_the_tls_session(tls_stage: Stage) -> None:
    resumed: list[bool] = []

    def script(peer: Peer) -> None:
        resumed.append(peer.resumed)
        peer.answer(OK)

    target = tls_stage.target(endpoint(tls_stage, script), NAME)
    loop = tls_stage.loop(proxy=url(tls_stage.proxy(ScriptedProxy())))
    tls_stage.submit(loop, target, *[post(target)] * 3).wait()
    assert resumed == [False, True, True]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "0x7f.1", "2130706433", "127.1", "127.1."])
def test_refused_address_never_reaches_the_proxy(stage: Stage, host: str) -> None:
    proxy = stage.proxy(ScriptedProxy())
    target = Target.parse(f"{'https' if stage.tls else 'http'}://{host}/")
    failure = stage.submit(stage.loop(proxy=url(proxy), allow=()), target).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert detail(failure).rpartition(" ")[2] in {"loopback", "private"}
    assert proxy.accepted == 0


@pytest.mark.parametrize(
    ("host", "place"),
    [("1.1.1.1", b"1.1.1.1:443"), ("0x01.0x10101", b"1.1.1.1:443"), ("[2606:4700::1]", b"[2606:4700::1]:443")],
)
def test_proxy_is_asked_for_the_judged_address(plain_stage: Stage, host: str, place: bytes) -> None:
    script = ScriptedProxy(b"HTTP/1.1 403 No\r\n\r\n")
    loop = plain_stage.loop(proxy=url(plain_stage.proxy(script)), allow=())
    plain_stage.submit(loop, Target.parse(f"https://{host}/")).wait()
    assert [asked.split()[1] for asked in script.asked] == [place]


def test_allowed_address_goes_through_the_proxy(stage: Stage) -> None:
    script = ScriptedProxy()
    server = stage.serve(answering(OK))
    loop = stage.loop(proxy=url(stage.proxy(script)))
    assert response(stage.submit(loop, stage.target(server)).wait()[0]).status == 200
    assert len(script.asked) == 1


def test_credentials_are_for_the_proxy_alone(stage: Stage) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(OK)

    proxy = ScriptedProxy()
    target = stage.target(endpoint(stage, script), NAME)
    loop = stage.loop(proxy=url(stage.proxy(proxy), login="user:p%40ss%3Aword"))
    assert response(stage.submit(loop, target).wait()[0]).status == 200
    expected = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss:word")
    assert expected in proxy.asked[0].split(b"\r\n")
    assert seen == [post(target)]
