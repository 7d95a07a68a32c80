"""Opening a connection: names, the egress policy, addresses in turn, certificates."""

import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.http_testbed import LOOPBACK, QUICK, Authority, HttpTestbed, code, post, response
from tests.harness.scripted_proxy import url
from webhookd.edges.http_client.dns_resolver import Resolver, resolve
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.target import Target


def resolving_to(*addresses: str) -> Resolver:
    """A resolver that always returns these addresses."""
    return lambda host, port: addresses  # noqa: ARG005  # as Resolver is called


def detail(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure), outcome
    assert not outcome.sent
    return outcome.detail


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_refused_port_is_named(testbed: HttpTestbed) -> None:
    scheme = "https" if testbed.tls else "http"
    target = Target.parse(f"{scheme}://127.0.0.1:{closed_port()}/")
    assert code(testbed.submit(testbed.loop(), target).wait()[0]) is FailureCode.CONNECT_REFUSED


def test_sequence_goes_on_after_each_refusal(plain_testbed: HttpTestbed) -> None:
    target = Target.parse(f"http://127.0.0.1:{closed_port()}/")
    outcomes = plain_testbed.submit(plain_testbed.loop(), target, *[b"x"] * 50).wait()
    assert [code(outcome) for outcome in outcomes] == [FailureCode.CONNECT_REFUSED] * 50


@pytest.mark.parametrize(
    ("addresses", "named"),
    [
        (["127.0.0.1"], "loopback"),
        (["::1"], "loopback"),
        (["::ffff:127.0.0.1"], "loopback"),
        (["10.1.2.3", "169.254.169.254"], "link_local"),
        (["64:ff9b::7f00:1"], "loopback"),
        (["64:ff9b:1::7f00:1"], "translated"),
    ],
)
def test_refused_address_is_never_dialled(plain_testbed: HttpTestbed, addresses: Sequence[str], named: str) -> None:
    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(resolver=resolving_to(*addresses), allow=())
    failure = plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert detail(failure) == f"the address of the host is {named}", "a tenant reads it: the address is not in it"
    assert server.accepted == 0


def test_each_new_connection_is_judged(plain_testbed: HttpTestbed) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    server = plain_testbed.serve(answering(closing))
    loop = plain_testbed.loop(resolver=lambda _host, _port: next(answers))
    target = plain_testbed.target(server, "endpoint.test")
    outcomes = plain_testbed.submit(loop, target, *[post(target)] * 2).wait()
    assert response(outcomes[0]).status == 200
    assert code(outcomes[1]) is FailureCode.ADDRESS_REFUSED
    assert server.accepted == 1


def test_allowed_address_behind_many_refused_ones_is_dialled(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    refused = [f"10.0.0.{number}" for number in range(1, 9)]
    loop = plain_testbed.loop(resolver=resolving_to(*refused, "127.0.0.1"))
    assert response(plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]).status == 200


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"egress_require_https": True}, "https_required"),
        ({"egress_allow_ports": "443"}, "port_not_allowed"),
        ({"egress_forbid_ports": "1024-65535"}, "port_forbidden"),
        ({"egress_allow_hosts": "*.example"}, "host_not_allowed"),
        ({"egress_forbid_hosts": "endpoint.test"}, "host_forbidden"),
    ],
)
def test_url_against_a_rule_is_neither_looked_up_nor_dialled(
    plain_testbed: HttpTestbed, rules: dict[str, Any], rule: str
) -> None:
    def asked(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host}:{port} was looked up")

    server = plain_testbed.serve(answering(OK))
    proxy = plain_testbed.proxy(answering(OK))
    for through in (None, url(proxy)):
        loop = plain_testbed.loop(resolver=asked, proxy=through, **rules)
        failure = plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]
        assert code(failure) is FailureCode.URL_REFUSED
        assert rule in detail(failure)
    assert (server.accepted, proxy.accepted) == (0, 0)


def test_forbidden_network_is_not_dialled(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(resolver=resolving_to("127.0.0.1"), egress_forbid="127.0.0.1")
    failure = plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]
    assert detail(failure) == "the address of the host is network_forbidden"
    assert server.accepted == 0


def test_literal_address_is_checked_too(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    failure = plain_testbed.submit(plain_testbed.loop(allow=()), plain_testbed.target(server)).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert server.accepted == 0


@pytest.mark.parametrize("spelling", ["0x7f.1", "2130706433", "127.1", "①②⑦.0.0.1"])
def test_odd_spellings_of_loopback_are_refused(plain_testbed: HttpTestbed, spelling: str) -> None:
    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(resolver=resolve, allow=())
    failure = plain_testbed.submit(loop, plain_testbed.target(server, spelling)).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED
    assert server.accepted == 0


def test_refusal_is_reported_although_the_deadline_has_passed(plain_testbed: HttpTestbed) -> None:
    always_late = replace(QUICK, sweep_interval_s=0.0)
    loop = plain_testbed.loop(always_late, allow=())
    failure = plain_testbed.submit(loop, Target.parse("http://127.0.0.1/"), deadline_s=0.0).wait()[0]
    assert code(failure) is FailureCode.ADDRESS_REFUSED


def test_allowed_address_among_refused_is_dialled(testbed: HttpTestbed) -> None:
    server = testbed.serve(answering(OK), testbed.authority.context("endpoint.test") if testbed.tls else None)
    loop = testbed.loop(resolver=resolving_to("10.0.0.1", "127.0.0.1"))
    assert response(testbed.submit(loop, testbed.target(server, "endpoint.test")).wait()[0]).status == 200


def test_next_address_follows_a_refused_connection(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(resolver=resolving_to("127.0.0.7", "127.0.0.1"))
    assert response(plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]).status == 200


def test_next_address_follows_an_immediate_failure(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    broadcast = "255.255.255.255"  # the kernel refuses to connect to it without a packet
    loop = plain_testbed.loop(resolver=resolving_to(broadcast, "127.0.0.1"), allow=(*LOOPBACK, broadcast))
    assert response(plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]).status == 200
    assert (
        code(plain_testbed.submit(loop, plain_testbed.target(server, broadcast)).wait()[0])
        is FailureCode.CONNECT_FAILED
    )


def test_only_few_addresses_are_tried(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    elsewhere = [f"127.0.0.{number}" for number in range(2, 6)]
    limits = replace(QUICK, addresses_tried=len(elsewhere))
    loop = plain_testbed.loop(limits, resolver=resolving_to(*elsewhere, "127.0.0.1"))
    outcomes = plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()
    assert code(outcomes[0]) is FailureCode.CONNECT_REFUSED
    assert server.accepted == 0


@pytest.mark.parametrize("resolver", [resolving_to(), None], ids=["no-address", "error"])
def test_name_without_address_fails(plain_testbed: HttpTestbed, resolver: Resolver | None) -> None:
    outcomes = plain_testbed.submit(plain_testbed.loop(resolver=resolver), Target.parse("http://nowhere.test/")).wait()
    assert code(outcomes[0]) is FailureCode.DNS_FAILED


def test_resolver_that_breaks_is_a_failed_lookup(plain_testbed: HttpTestbed) -> None:
    def broken(host: str, port: int) -> list[str]:
        raise UnicodeError(f"{host}:{port}")

    loop = plain_testbed.loop(resolver=broken)
    for _ in range(2):
        outcomes = plain_testbed.submit(loop, Target.parse("http://nowhere.test/")).wait()
        assert code(outcomes[0]) is FailureCode.DNS_FAILED


def test_hanging_lookup_delays_no_other(plain_testbed: HttpTestbed) -> None:
    release = threading.Event()
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:  # noqa: ARG001  # as Resolver is called
        asked.append(host)
        if host == "hangs.test":
            release.wait(5)
        return ["127.0.0.1"]

    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(replace(QUICK, lookup_timeout_s=0.3), resolver=resolver)
    stuck = [plain_testbed.submit(loop, Target.parse("http://hangs.test/")) for _ in range(20)]
    assert response(plain_testbed.submit(loop, plain_testbed.target(server, "endpoint.test")).wait()[0]).status == 200
    assert [code(sequence.wait()[0]) for sequence in stuck] == [FailureCode.DNS_FAILED] * 20
    release.set()
    assert asked.count("hangs.test") == 1


def test_late_lookup_does_not_disturb_the_next(plain_testbed: HttpTestbed) -> None:
    answers = iter([threading.Event()])
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:  # noqa: ARG001  # as Resolver is called
        if next(answers, None):
            release.wait(5)
        return ["127.0.0.1"]

    server = plain_testbed.serve(answering(OK, OK))
    loop = plain_testbed.loop(resolver=resolver)
    target = plain_testbed.target(server, "endpoint.test")
    assert code(plain_testbed.submit(loop, target).wait()[0]) is FailureCode.DNS_FAILED
    again = plain_testbed.submit(loop, target)
    release.set()
    assert response(again.wait()[0]).status == 200
    assert server.accepted == 1


def test_deadline_covers_lookup_and_dialling(plain_testbed: HttpTestbed) -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:  # noqa: ARG001  # as Resolver is called
        release.wait(5)
        return []

    loop = plain_testbed.loop(replace(QUICK, lookup_timeout_s=60.0), resolver=resolver)
    failure = plain_testbed.submit(loop, Target.parse("http://hangs.test/"), deadline_s=0.1).wait()[0]
    release.set()
    assert code(failure) is FailureCode.DNS_FAILED
    assert failure.elapsed_s < 1.0


def test_silent_handshake_times_out(tls_testbed: HttpTestbed) -> None:
    with HostileServer(Peer.wait_closed) as server:
        failure = tls_testbed.submit(tls_testbed.loop(), tls_testbed.target(server)).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT


def test_plain_server_is_no_tls_server(tls_testbed: HttpTestbed) -> None:
    with HostileServer(lambda peer: peer.send(OK)) as server:
        failure = tls_testbed.submit(tls_testbed.loop(), tls_testbed.target(server)).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED


def test_server_that_ends_the_handshake_fails_it(tls_testbed: HttpTestbed) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.reset()

    with HostileServer(script) as server:
        failure = tls_testbed.submit(tls_testbed.loop(), tls_testbed.target(server)).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED


def test_unknown_authority_is_refused(tls_testbed: HttpTestbed, tmp_path: Path) -> None:
    server = tls_testbed.serve(answering(OK), Authority(tmp_path).context("127.0.0.1"))
    failure = tls_testbed.submit(tls_testbed.loop(), tls_testbed.target(server)).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED
    assert "certificate" in detail(failure)


def test_certificate_for_another_host_is_refused(tls_testbed: HttpTestbed) -> None:
    server = tls_testbed.serve(answering(OK), tls_testbed.authority.context("other.test"))
    loop = tls_testbed.loop(resolver=resolving_to("127.0.0.1", "127.0.0.1"))
    failure = tls_testbed.submit(loop, tls_testbed.target(server, "endpoint.test")).wait()[0]
    assert code(failure) is FailureCode.TLS_FAILED
    assert "endpoint.test" in detail(failure)
    assert server.accepted == 1


def test_old_tls_versions_are_refused(tls_testbed: HttpTestbed) -> None:
    context = tls_testbed.authority.context("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = tls_testbed.serve(answering(OK), context)
    assert code(tls_testbed.submit(tls_testbed.loop(), tls_testbed.target(server)).wait()[0]) is FailureCode.TLS_FAILED


def test_handshake_names_the_host(tls_testbed: HttpTestbed) -> None:
    named: list[str] = []
    context = tls_testbed.authority.context("endpoint.test")
    context.sni_callback = lambda sock, name, context: named.append(name)  # noqa: ARG005  # as ssl calls it
    server = tls_testbed.serve(answering(OK), context)
    loop = tls_testbed.loop(resolver=resolving_to("127.0.0.1"))
    assert response(tls_testbed.submit(loop, tls_testbed.target(server, "Endpoint.Test.")).wait()[0]).status == 200
    assert named == ["endpoint.test"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_next_handshake_resumes_the_session(tls_testbed: HttpTestbed, version: ssl.TLSVersion) -> None:
    resumed: list[bool] = []

    def script(peer: Peer) -> None:
        resumed.append(peer.resumed)
        peer.answer(OK)

    context = tls_testbed.authority.context("127.0.0.1")
    context.maximum_version = version
    target = tls_testbed.target(tls_testbed.serve(script, context))
    outcomes = tls_testbed.submit(tls_testbed.loop(), target, *[post(target)] * 3).wait()
    assert [response(outcome).status for outcome in outcomes] == [200] * 3
    assert resumed == [False, True, True]


def test_tls_session_of_one_host_is_not_used_for_another(tls_testbed: HttpTestbed) -> None:
    context = tls_testbed.authority.context("one.test")
    server = tls_testbed.serve(answering(OK), context)
    loop = tls_testbed.loop(resolver=resolving_to("127.0.0.1"))
    assert response(tls_testbed.submit(loop, tls_testbed.target(server, "one.test")).wait()[0]).status == 200
    assert code(tls_testbed.submit(loop, tls_testbed.target(server, "two.test")).wait()[0]) is FailureCode.TLS_FAILED
