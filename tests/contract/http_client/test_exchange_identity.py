"""Endpoints that request a client certificate, and unusable certificate files."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import Authority, HttpTestbed, Identity, code, post, response
from tests.harness.scripted_proxy import ScriptedProxy, url
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.edges.http_client.tls import client_context
from webhookd.errors import UnusableSetting
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.settings import Settings

CLIENT = "webhookd.test"

versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def mtls_context(testbed: HttpTestbed, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = testbed.authority.mtls_context("127.0.0.1")
    context.maximum_version = version
    return context


@pytest.fixture(scope="session")
def identity(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A client certificate of the authority that the servers trust."""
    return authority.identity(tmp_path_factory.mktemp("identity"), CLIENT)


@pytest.fixture(scope="session")
def client_context_with_certificate(authority: Authority, identity: Identity) -> ssl.SSLContext:
    """A client's TLS context with that certificate."""
    return client_context(authority.file, identity.cert, identity.key)


@versions
def test_certificate_is_sent_when_requested(
    tls_testbed: HttpTestbed, client_context_with_certificate: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    seen: list[tuple[list[str], bool]] = []

    def script(peer: Peer) -> None:
        seen.append((peer.client_names, peer.resumed))
        peer.answer(OK)

    target = tls_testbed.target(tls_testbed.serve(script, mtls_context(tls_testbed, version)))
    outcomes = tls_testbed.submit(
        tls_testbed.loop(context=client_context_with_certificate), target, *[post(target)] * 2
    ).wait()
    assert [response(outcome).status for outcome in outcomes] == [200, 200]
    assert seen == [([CLIENT], False), ([CLIENT], True)]


def test_certificate_is_sent_through_a_proxy(
    tls_testbed: HttpTestbed, client_context_with_certificate: ssl.SSLContext
) -> None:
    server = tls_testbed.serve(answering(OK), tls_testbed.authority.mtls_context("endpoint.test"))
    loop = tls_testbed.loop(context=client_context_with_certificate, proxy=url(tls_testbed.proxy(ScriptedProxy())))
    assert response(tls_testbed.submit(loop, tls_testbed.target(server, "endpoint.test")).wait()[0]).status == 200


def test_certificate_is_not_sent_unless_requested(
    tls_testbed: HttpTestbed, client_context_with_certificate: ssl.SSLContext
) -> None:
    names: list[list[str]] = []

    def script(peer: Peer) -> None:
        names.append(peer.client_names)
        peer.answer(OK)

    target = tls_testbed.target(tls_testbed.serve(script))
    assert (
        response(tls_testbed.submit(tls_testbed.loop(context=client_context_with_certificate), target).wait()[0]).status
        == 200
    )
    assert names == [[]]


@versions
def test_missing_certificate_is_a_failure_of_tls(tls_testbed: HttpTestbed, version: ssl.TLSVersion) -> None:
    server = tls_testbed.serve(answering(OK), mtls_context(tls_testbed, version))
    target = tls_testbed.target(server)
    outcomes = tls_testbed.submit(tls_testbed.loop(), target, *[post(target)] * 5).wait()
    assert [code(outcome) for outcome in outcomes] == [FailureCode.TLS_FAILED] * 5
    assert server.accepted == 5


@versions
def test_certificate_of_another_authority_is_refused(
    tls_testbed: HttpTestbed, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    stranger = Authority(tmp_path).identity(tmp_path, CLIENT)
    context = client_context(tls_testbed.authority.file, stranger.cert, stranger.key)
    target = tls_testbed.target(tls_testbed.serve(answering(OK), mtls_context(tls_testbed, version)))
    outcomes = tls_testbed.submit(tls_testbed.loop(context=context), target).wait()
    assert code(outcomes[0]) is FailureCode.TLS_FAILED


def test_one_file_may_hold_certificate_and_key(tls_testbed: HttpTestbed, identity: Identity) -> None:
    context = client_context(tls_testbed.authority.file, identity.both)
    target = tls_testbed.target(tls_testbed.serve(answering(OK), tls_testbed.authority.mtls_context("127.0.0.1")))
    assert response(tls_testbed.submit(tls_testbed.loop(context=context), target).wait()[0]).status == 200


def encrypted(key: bytes) -> bytes:
    """The same private key, encrypted with a password."""
    scheme = serialization.BestAvailableEncryption(b"password")
    opened = serialization.load_pem_private_key(key, None)
    return opened.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, scheme)


@pytest.mark.parametrize(
    ("cert", "key", "named"),
    [
        ("nowhere", "key", "egress_client_cert_file"),
        ("junk", "key", "egress_client_cert_file"),
        ("key", "key", "egress_client_cert_file"),
        (".", "key", "egress_client_cert_file"),
        ("cert", None, "egress_client_cert_file"),
        ("cert", "nowhere", "egress_client_key_file"),
        ("cert", "junk", "egress_client_key_file"),
        ("cert", "cert", "egress_client_key_file"),
        ("cert", "other", "egress_client_key_file"),
        ("cert", "encrypted", "egress_client_key_file"),
        (None, "key", "egress_client_key_file"),
    ],
)
def test_unusable_file_is_named_at_the_start(
    authority: Authority, tmp_path: Path, cert: str | None, key: str | None, named: str
) -> None:
    own, other = authority.identity(tmp_path, CLIENT), authority.identity(tmp_path, "other.test")
    own.cert.rename(tmp_path / "cert")
    own.key.rename(tmp_path / "key")
    other.key.rename(tmp_path / "other")
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "encrypted").write_bytes(encrypted((tmp_path / "key").read_bytes()))
    files = {"egress_client_cert_file": cert, "egress_client_key_file": key}
    settings = Settings.model_validate({name: tmp_path / file for name, file in files.items() if file})
    with pytest.raises(UnusableSetting) as refused:
        ExchangeLoop(settings)
    assert refused.value.setting == named
    assert str(tmp_path / (files[named] or "")) in str(refused.value) or cert is None
    assert ("it is encrypted" in str(refused.value)) == (key == "encrypted"), "no password is prompted for"


@pytest.mark.parametrize(
    ("name", "value"),
    [("egress_ca_file", "/nonexistent/ca.pem"), ("egress_proxy", "proxy:3128")],
)
def test_other_unusable_settings_are_named_too(name: str, value: object) -> None:
    with pytest.raises(UnusableSetting, match=f"WEBHOOKD_{name.upper()}: .") as refused:
        ExchangeLoop(Settings.model_validate({name: value}))
    assert refused.value.setting == name


def test_settings_never_show_the_proxys_password() -> None:
    settings = Settings.model_validate({"egress_proxy": "http://user:pa55@proxy:3128"})
    assert "pa55" not in f"{settings!r} {settings} {settings.egress_proxy}"
