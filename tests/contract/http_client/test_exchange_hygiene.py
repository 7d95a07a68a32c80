"""What the client never does by itself: follow, remember, read from its surroundings, or unpack.

Each test has a server that would notice: a canary that must not be connected to, or a request that must not change.
"""

import gzip
from pathlib import Path

import pytest

from tests.harness.hostile_server import OK, Peer, answering
from tests.harness.http_testbed import HttpTestbed, post, response

REDIRECTS = (301, 302, 303, 307, 308)


def test_no_redirect_is_followed(testbed: HttpTestbed) -> None:
    canary = testbed.serve(answering(OK))
    place = f"{'https' if testbed.tls else 'http'}://127.0.0.1:{canary.port}/"
    answers = [
        f"HTTP/1.1 {status} Moved\r\nLocation: {place}\r\nRefresh: 0; url={place}\r\nContent-Length: 0\r\n\r\n".encode()
        for status in REDIRECTS
    ]
    outcomes = testbed.exchange(answering(*answers), times=len(REDIRECTS)).outcomes
    assert [response(outcome).status for outcome in outcomes] == list(REDIRECTS)
    assert canary.accepted == 0


def test_no_cookie_is_kept(testbed: HttpTestbed) -> None:
    requests: list[bytes] = []
    setting = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n")

    def script(peer: Peer) -> None:
        for _ in range(2):
            requests.append(peer.request())
            peer.send(setting)

    assert len(testbed.exchange(script, times=2).outcomes) == 2
    assert requests[0] == requests[1]
    assert b"cookie" not in requests[1].lower()


def test_proxies_of_the_environment_are_not_used(testbed: HttpTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = testbed.proxy(answering(OK))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, f"http://127.0.0.1:{canary.port}")
    for spelling in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(spelling, raising=False)
    assert response(testbed.exchange(answering(OK)).outcomes[0]).status == 200
    assert canary.accepted == 0


def test_netrc_is_not_read(testbed: HttpTestbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requests: list[bytes] = []

    def script(peer: Peer) -> None:
        requests.append(peer.request())
        peer.send(b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")

    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login user password secret\ndefault login u password p\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert response(testbed.exchange(script).outcomes[0]).status == 401
    assert len(requests) == 1
    assert b"authorization" not in requests[0].lower()


def test_nothing_is_unpacked_and_compression_is_not_asked_for(testbed: HttpTestbed) -> None:
    requests: list[bytes] = []
    packed = gzip.compress(b"0" * 10_000_000)  # ten thousand bytes, ten million unpacked
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)

    def script(peer: Peer) -> None:
        requests.append(peer.request())
        peer.send(head + packed)

    server = testbed.serve(script)
    target = testbed.target(server)
    outcome = response(testbed.submit(testbed.loop(), target, post(target)).wait()[0])
    assert outcome.body == packed[:1024], "the first bytes as they came, up to the bound"
    assert b"Accept-Encoding: identity\r\n" in requests[0]
