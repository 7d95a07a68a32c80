"""TLS options of subscriptions, from the database's values to the handshake."""

import os
import ssl
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.certificates import Certificates
from tests.harness.hostile_server import OK, HostileServer, Peer, answering
from tests.harness.http_testbed import HttpTestbed, code, holds_on_loop, post, response
from webhookd.edges.http_client import tls_contexts
from webhookd.edges.http_client.tls_contexts import TlsContexts, confirm_usable
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import Tls
from webhookd.settings import Settings

UNVERIFIED = Tls(verify=False)


def contexts(**settings: object) -> TlsContexts:
    return TlsContexts(Settings.model_validate(settings))


def with_options(target: Target, tls: Tls, **settings: object) -> Target:
    return replace(target, tls_context=contexts(**settings).get(tls))


@pytest.fixture
def private_server(tls_testbed: HttpTestbed) -> tuple[Certificates, HostileServer]:
    """A server whose authority no system trusts, with that authority's certificates."""
    made = Certificates()
    context = made.server_context("127.0.0.1")
    return made, tls_testbed.serve(answering(*[OK] * 3), context)


def test_authority_of_a_subscription_is_trusted_by_it_alone(
    tls_testbed: HttpTestbed, private_server: tuple[Certificates, HostileServer]
) -> None:
    made, server = private_server
    loop, plain = tls_testbed.loop(), tls_testbed.target(server)
    own = with_options(plain, Tls(ca_certificates=made.authority))
    assert response(tls_testbed.submit(loop, own).wait()[0]).status == 200
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    assert code(tls_testbed.submit(loop, plain).wait()[0]) is FailureCode.TLS_FAILED, "the idle connection is not its"
    assert response(tls_testbed.submit(loop, own).wait()[0]).status == 200
    assert server.accepted == 2, "the subscription uses its idle connection again"


def test_unverified_endpoint_is_reached_where_the_operator_allows_it(
    tls_testbed: HttpTestbed, private_server: tuple[Certificates, HostileServer]
) -> None:
    _, server = private_server
    target = with_options(tls_testbed.target(server), UNVERIFIED, egress_tls_skip_verify="allowed")
    assert response(tls_testbed.submit(tls_testbed.loop(), target).wait()[0]).status == 200


def test_withdrawn_permission_refuses_the_options() -> None:
    with pytest.raises(InvalidInput, match="WEBHOOKD_EGRESS_TLS_SKIP_VERIFY"):
        contexts().get(UNVERIFIED)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("memory_files", [True, False])
def test_client_certificate_of_a_subscription_is_shown(
    tls_testbed: HttpTestbed, version: ssl.TLSVersion, memory_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not memory_files:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    made = Certificates()
    seen: list[tuple[list[str], bool]] = []

    def script(peer: Peer) -> None:
        seen.append((peer.client_names, peer.resumed))
        peer.answer(OK)

    context = made.server_context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=made.authority)
    context.maximum_version = version
    plain = tls_testbed.target(tls_testbed.serve(script, context))
    loop = tls_testbed.loop()
    targets = [
        with_options(plain, replace(made.identity(name), ca_certificates=made.authority))
        for name in ("a.test", "b.test")
    ]
    for target in targets:
        outcomes = tls_testbed.submit(loop, target, *[post(target)] * 2).wait()
        assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert seen == [(["a.test"], False), (["a.test"], True), (["b.test"], False), (["b.test"], True)]


def test_key_in_a_temporary_file_is_removed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    confirm_usable(Settings.model_validate({}), Certificates().identity())
    assert list(tmp_path.iterdir()) == []


def test_equal_options_share_a_context_and_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_contexts, "CONTEXTS_KEPT", 2)
    made = Certificates()
    options = [UNVERIFIED, Tls(ca_certificates=made.authority), Tls(ca_certificates=made.authority, verify=False)]
    kept = contexts(egress_tls_skip_verify="allowed")
    first, second = kept.get(options[0]), weakref.ref(kept.get(options[1]))
    assert kept.get(replace(options[0])) is first
    kept.get(options[2])
    assert kept.get(options[0]) is first
    assert second() is None


def test_context_with_an_open_connection_is_found_however_many_others_there_are(
    tls_testbed: HttpTestbed, private_server: tuple[Certificates, HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_contexts, "CONTEXTS_KEPT", 1)
    made, server = private_server
    kept, loop, own = contexts(), tls_testbed.loop(), Tls(ca_certificates=made.authority)

    def sent() -> int:
        target = replace(tls_testbed.target(server), tls_context=kept.get(own))
        return response(tls_testbed.submit(loop, target).wait()[0]).status

    assert sent() == 200
    assert holds_on_loop(loop, lambda: loop.open_exchanges == 0)
    for number in range(3):
        kept.get(made.identity(f"{number}.test"))
    assert (sent(), server.accepted) == (200, 1)


def test_unverified_context_reads_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> ssl.SSLContext:
        raise AssertionError("it reads them")

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    contexts(egress_tls_skip_verify="allowed").get(UNVERIFIED)


def test_key_that_openssl_refuses_names_the_field() -> None:
    made = Certificates()
    mixed = replace(made.identity(), client_key=made.identity().client_key)
    with pytest.raises(InvalidInput) as raised:
        confirm_usable(Settings.model_validate({}), mixed)
    assert raised.value.field == "destination.webhook.tls.client_key"
