"""An egress proxy that gets addresses which webhookd has judged: WEBHOOKD_EGRESS_PROXY_JUDGES=false."""

import threading
from dataclasses import replace

import pytest

from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.http_testbed import LOOPBACK, QUICK, HttpTestbed, code, response
from tests.harness.scripted_proxy import ScriptedProxy, url
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.edges.http_client.limits import Limits
from webhookd.flow.attempt.exchange_result import Failure, FailureCode
from webhookd.flow.attempt.target import Target

NAME = "endpoint.test"


def judging_loop(
    testbed: HttpTestbed, proxy: str, *addresses: str, allow: tuple[str, ...] = LOOPBACK, limits: Limits = QUICK
) -> ExchangeLoop:
    """A loop that resolves the endpoint to these addresses, and sends through the proxy."""

    def resolver(host: str, port: int) -> list[str]:
        if host != NAME or not addresses:
            raise OSError(f"no address for {host}:{port}")
        return list(addresses)

    return testbed.loop(limits, resolver=resolver, proxy=proxy, allow=allow, egress_proxy_judges=False)


def endpoint(testbed: HttpTestbed) -> HostileServer:
    """A server with a certificate for the name."""
    return testbed.serve(answering(OK), testbed.authority.context(NAME) if testbed.tls else None)


def test_proxy_gets_the_address_and_the_endpoint_the_name(testbed: HttpTestbed) -> None:
    heads: list[bytes] = []

    def script(peer: Peer) -> None:
        heads.append(peer.request())
        peer.send(OK)

    server = testbed.serve(script, testbed.authority.context(NAME) if testbed.tls else None)
    proxy = ScriptedProxy()
    loop = judging_loop(testbed, url(testbed.proxy(proxy)), "10.0.0.1", "127.0.0.1")
    assert response(testbed.submit(loop, testbed.target(server, NAME)).wait()[0]).status == 200
    assert [request.split()[1] for request in proxy.requests] == [f"127.0.0.1:{server.port}".encode()]
    assert f"Host: {NAME}:{server.port}\r\n".encode() in heads[0]


def test_name_that_leads_inside_never_reaches_the_proxy(plain_testbed: HttpTestbed) -> None:
    proxy = plain_testbed.proxy(ScriptedProxy())
    loop = judging_loop(plain_testbed, url(proxy), "10.0.0.1", "64:ff9b::169.254.169.254", allow=())
    failure = plain_testbed.submit(loop, Target.parse(f"http://{NAME}/")).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert isinstance(failure, Failure)
    assert failure.detail == "the address of the host is link_local"
    assert proxy.accepted == 0


@pytest.mark.parametrize("first", ["refused", "silent"])
def test_next_address_follows_one_that_the_proxy_does_not_reach(plain_testbed: HttpTestbed, first: str) -> None:
    asked: list[bytes] = []
    good = ScriptedProxy()

    def script(peer: Peer) -> None:
        if peer.number:
            good(peer)
        else:
            asked.append(peer.request_head())
            peer.send(b"HTTP/1.1 502 No route\r\n\r\n") if first == "refused" else peer.wait_closed()

    server = endpoint(plain_testbed)
    loop = judging_loop(plain_testbed, url(plain_testbed.proxy(script)), "127.0.0.9", "127.0.0.1")
    assert response(plain_testbed.submit(loop, plain_testbed.target(server, NAME)).wait()[0]).status == 200
    assert [request.split()[1].partition(b":")[0] for request in asked + good.requests] == [b"127.0.0.9", b"127.0.0.1"]


def test_refusal_of_the_last_address_is_the_proxys(plain_testbed: HttpTestbed) -> None:
    script = ScriptedProxy(b"HTTP/1.1 403 No\r\n\r\n")
    loop = judging_loop(plain_testbed, url(plain_testbed.proxy(script)), *[f"127.0.0.{last}" for last in range(1, 9)])
    assert code(plain_testbed.submit(loop, Target.parse(f"http://{NAME}/")).wait()[0]) is FailureCode.PROXY_REFUSED
    assert len(script.requests) == QUICK.addresses_tried


def test_name_without_address_is_the_endpoints_failure(plain_testbed: HttpTestbed) -> None:
    proxy = plain_testbed.proxy(ScriptedProxy())
    failure = plain_testbed.submit(judging_loop(plain_testbed, url(proxy)), Target.parse(f"http://{NAME}/")).wait()[0]
    assert code(failure) is FailureCode.DNS_FAILED
    assert proxy.accepted == 0


@pytest.mark.parametrize("limit", ["lookup", "deadline"])
def test_hanging_lookup_is_the_endpoints_failure(plain_testbed: HttpTestbed, limit: str) -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        release.wait(5)
        raise OSError(f"{host}:{port} hangs")

    limits = QUICK if limit == "lookup" else replace(QUICK, lookup_timeout_s=60.0)
    proxy = plain_testbed.proxy(ScriptedProxy())
    loop = plain_testbed.loop(limits, resolver=resolver, proxy=url(proxy), egress_proxy_judges=False)
    failure = plain_testbed.submit(loop, Target.parse(f"http://{NAME}/"), deadline_s=0.4).wait()[0]
    release.set()
    assert code(failure) is FailureCode.DNS_FAILED
    assert proxy.accepted == 0


def test_proxy_that_is_away_is_its_own_failure(plain_testbed: HttpTestbed) -> None:
    with HostileServer(answering()) as gone:
        pass
    loop = judging_loop(plain_testbed, url(gone), "127.0.0.1")
    assert code(plain_testbed.submit(loop, Target.parse(f"http://{NAME}/")).wait()[0]) is FailureCode.PROXY_FAILED
