"""When the endpoint's certificate expires, as handshakes with a real TLS server show it."""

import socket
import ssl
from dataclasses import replace

import pytest

from tests.harness.certificates import Certificates
from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.http_testbed import HttpTestbed, post, response
from tests.harness.scripted_proxy import ScriptedProxy
from webhookd import clock
from webhookd.edges.http_client.limits import Origin
from webhookd.edges.http_client.tls import TlsContext, validity_of
from webhookd.edges.http_client.tls_contexts import TlsContexts
from webhookd.flow.attempt.endpoint_certificate import FULL_HANDSHAKE_AGAIN_S, SeenCertificate
from webhookd.flow.attempt.exchange_result import Failure, FailureCode
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import Tls
from webhookd.settings import Settings

HOST = "127.0.0.1"
DAY = 86400.0
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def in_days(days: float) -> float:
    """A time from now on, in whole seconds, as a certificate has it."""
    return float(int(clock.wall_clock() + days * DAY))


def expiry(seen: SeenCertificate | None) -> float:
    """When the certificate expires, which must be known."""
    assert seen is not None
    assert seen.validity is not None
    return seen.validity.expires_at


def own_target(tls_testbed: HttpTestbed, server: HostileServer, tls: Tls) -> Target:
    settings = Settings.model_validate({"egress_tls_skip_verify": "allowed"})
    return replace(tls_testbed.target(server), tls_context=TlsContexts(settings).get(tls))


class Client:
    """Makes handshakes by hand, on clocks that the test moves."""

    def __init__(self, certificates: Certificates, server: HostileServer) -> None:
        self.now, self.wall = 100.0, clock.wall_clock()
        context = ssl.create_default_context(cadata=certificates.authority)
        self.tls = TlsContext(context, clock=lambda: self.now, wall=lambda: self.wall)
        self.origin: Origin = (True, HOST, server.port, None)

    def connects(self) -> float:
        """Make a handshake and a request; returns when the certificate expires that is known then."""
        with socket.create_connection((HOST, self.origin[2]), 5.0) as raw, self.tls.wrap(raw, self.origin) as sock:
            sock.do_handshake()
            self.tls.handshake_finished(sock, self.origin)
            sock.sendall(post(Target.parse(f"https://{HOST}/")))
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
            self.tls.store_session(sock, self.origin)
        return expiry(self.tls.certificate(HOST, self.origin[2]))


@pytest.mark.parametrize("verify", [True, False])
def test_certificate_is_known_after_the_handshake(tls_testbed: HttpTestbed, verify: bool) -> None:
    made, until = Certificates(), in_days(10)
    server = tls_testbed.serve(answering(OK), made.server_context(HOST, until=until))
    target = own_target(tls_testbed, server, Tls(ca_certificates=made.authority if verify else "", verify=verify))
    loop = tls_testbed.loop()
    assert loop.certificate(target) is None
    assert response(tls_testbed.submit(loop, target).wait()[0]).status == 200
    assert expiry(loop.certificate(target)) == until
    assert loop.certificate(tls_testbed.target(server)) is None, "another TLS context may verify otherwise"


def test_certificate_behind_a_proxy_is_the_endpoints(tls_testbed: HttpTestbed) -> None:
    made, until = Certificates(), in_days(10)
    server = tls_testbed.serve(answering(OK), made.server_context(HOST, until=until))
    target = own_target(tls_testbed, server, Tls(ca_certificates=made.authority))
    loop = tls_testbed.loop(proxy=f"http://{HOST}:{tls_testbed.proxy(ScriptedProxy()).port}")
    assert response(tls_testbed.submit(loop, target).wait()[0]).status == 200
    assert expiry(loop.certificate(target)) == until


@pytest.mark.parametrize("version", VERSIONS)
def test_renewed_certificate_is_noticed_although_sessions_are_resumed(
    tls_testbed: HttpTestbed, version: ssl.TLSVersion
) -> None:
    made, old, new = Certificates(), in_days(10), in_days(90)
    context = made.server_context(HOST, until=old)
    context.maximum_version = version
    resumed: list[bool] = []

    def script(peer: Peer) -> None:
        resumed.append(peer.resumed)
        peer.answer(OK)

    client = Client(made, tls_testbed.serve(script, context))
    assert client.connects() == old
    made.renew(context, HOST, until=new)
    for now in (100.1, 100.0 + FULL_HANDSHAKE_AGAIN_S - 0.1):
        client.now = now
        assert client.connects() == old, "a resumed session shows no certificate"
    client.now = 100.0 + FULL_HANDSHAKE_AGAIN_S
    assert client.connects() == new
    assert client.connects() == new
    assert resumed == [False, True, True, False, True]


def test_failure_says_when_the_certificate_ended_that_was_accepted_before(tls_testbed: HttpTestbed) -> None:
    made = Certificates()
    context = made.server_context(HOST, until=in_days(1))
    client = Client(made, tls_testbed.serve(answering(OK), context))
    ends = client.connects()
    made.renew(context, HOST, until=in_days(-1))
    client.now += FULL_HANDSHAKE_AGAIN_S
    details = []
    for client.wall in (ends - 1.0, ends):
        with pytest.raises(ssl.SSLCertVerificationError) as failed:
            client.connects()
        details.append(client.tls.failure_detail(failed.value, client.origin))
    assert details[0] == "certificate has expired"
    assert details[1].startswith("certificate has expired: the last one that was accepted ended 20")


def test_expired_certificate_is_named_as_the_cause(tls_testbed: HttpTestbed) -> None:
    made = Certificates()
    server = tls_testbed.serve(answering(OK), made.server_context(HOST, until=in_days(-1)))
    target = own_target(tls_testbed, server, Tls(ca_certificates=made.authority))
    failure = tls_testbed.submit(tls_testbed.loop(), target).wait()[0]
    assert isinstance(failure, Failure)
    assert (failure.code, failure.detail) == (FailureCode.TLS_FAILED, "certificate has expired")


def test_unverified_endpoint_with_an_expired_certificate_shows_it(tls_testbed: HttpTestbed) -> None:
    made, until = Certificates(), in_days(-1)
    server = tls_testbed.serve(answering(OK), made.server_context(HOST, until=until))
    target = own_target(tls_testbed, server, Tls(verify=False))
    loop = tls_testbed.loop()
    assert response(tls_testbed.submit(loop, target).wait()[0]).status == 200
    assert expiry(loop.certificate(target)) == until


def test_certificate_that_the_parser_refuses_has_no_validity() -> None:
    der = ssl.PEM_cert_to_DER_cert(Certificates().authority)
    assert validity_of(der) is not None
    version_3, version_2 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"
    assert [validity_of(read) for read in (der.replace(version_3, version_2, 1), der[:-9], b"", None)] == [None] * 4
