"""The URL of the proxy, the request to it, and its response, split at any byte."""

import base64

import pytest

from webhookd.errors import UnusableSetting
from webhookd.flow.attempt.egress_proxy import OPENED, EgressProxy, TunnelRefused, read_connect_answer
from webhookd.flow.attempt.exchange_result import FailureCode

HEAD_BYTES = 1024


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://proxy.internal:3128", "proxy.internal", 3128),
        ("HTTP://Proxy.Internal:3128/", "proxy.internal", 3128),
        ("http://10.0.0.1:80", "10.0.0.1", 80),
        ("http://[fd00::1]:4750", "fd00::1", 4750),
        ("http://@proxy:1", "proxy", 1),
    ],
)
def test_url_gives_host_and_port(url: str, host: str, port: int) -> None:
    assert EgressProxy.parse(url) == EgressProxy(host=host, port=port)


@pytest.mark.parametrize(
    ("login", "clear"),
    [
        ("user:password", b"user:password"),
        ("user", b"user:"),
        (":token", b":token"),
        ("us%40er:p%3Aw%2F%25", b"us@er:p:w/%"),
        ("user:pass:word", b"user:pass:word"),
        ("user:p%C3%A4ss", "user:päss".encode()),
    ],
)
def test_login_becomes_basic_credentials(login: str, clear: bytes) -> None:
    authorization = EgressProxy.parse(f"http://{login}@proxy:3128").authorization
    assert authorization == "Basic " + base64.b64encode(clear).decode()


@pytest.mark.parametrize(
    "url",
    [
        "", "proxy:3128", "http://", "http://proxy", "http://:3128", "http://proxy:", "http://proxy:0",
        "http://proxy:65536", "http://proxy:3128/path", "http://proxy:3128?q", "http://proxy:3128#f",
        "http://pro xy:3128", "http://proxy:3128\r\nX: y", "http://fd00::1:3128", "http://[fd00::x]:3128",
        "http://-proxy-:3128", "https://user:secret@proxy:3128", "socks5://user:secret@proxy:1080",
        "http://user:se/secret@proxy:3128", "http://user:se@secret@proxy:3128", "http://user:secret@proxy",
        "http://us%3Aer:secret@proxy:3128", "http://user:secret%0d%0a@proxy:3128", "http://user:secret@pro_-:3128",
    ],
)  # fmt: skip
def test_unusable_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UnusableSetting) as refused:
        EgressProxy.parse(url)
    assert refused.value.setting == "egress_proxy"
    assert str(refused.value).startswith("WEBHOOKD_EGRESS_PROXY: ")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__, "a traceback repeats nothing either"


def test_proxy_never_shows_its_credentials() -> None:
    proxy = EgressProxy.parse("http://user:secret@proxy:3128")
    assert repr(proxy) == "EgressProxy(host='proxy', port=3128)"


@pytest.mark.parametrize(("host", "authority"), [("e.test", "e.test:443"), ("2606:4700::1", "[2606:4700::1]:443")])
def test_request_names_the_endpoint_twice(host: str, authority: str) -> None:
    lines = EgressProxy.parse("http://u:p@proxy:1").request(host, 443).decode().split("\r\n")
    assert lines[:2] == [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    assert lines[3:] == ["Proxy-Authorization: Basic dTpw", "", ""]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 299\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\n\r\n",
    ],
)
def test_tunnel_opens_at_the_last_byte_of_a_2xx(answer: bytes) -> None:
    verdicts = [read_connect_answer(answer[:end], HEAD_BYTES) for end in range(len(answer) + 1)]
    assert verdicts == [None] * len(answer) + [OPENED]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 407 Auth, please\r\nX: y\r\n\r\nbody", "the proxy answered 407 Auth, please"),
        (b"HTTP/1.1 502\r\n\r\n", "the proxy answered 502"),
        (b"HTTP/1.1 404 \xff\x1b[31m\r\n\r\n", "the proxy answered 404 ??[31m"),
        (b"HTTP/1.1 500 " + b"x" * 200 + b"\r\n\r\n", "the proxy answered 500 " + "x" * 80),
        (b"HTTP/1.1 101 Up\r\n\r\n", "the proxy answered 101 Up"),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 403 No\r\n\r\n", "the proxy answered 403 No"),
    ],
)
def test_other_status_is_a_refusal_with_its_reason(answer: bytes, expected: str) -> None:
    assert read_connect_answer(answer, HEAD_BYTES) == TunnelRefused(FailureCode.PROXY_REFUSED, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"S", "the proxy's answer is not HTTP"),
        (b"HTTP/2", "the proxy's answer is not HTTP"),
        (b"\r\n", "the proxy's answer is not HTTP"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "the proxy's answer is not HTTP"),
        (b"HTTP/1.1 200 OK\nX: y\r\n\r\n", "the proxy's answer is not HTTP"),
        (b"HTTP/1.1 100 C\r\n\r\njunk", "the proxy's answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "the proxy sent bytes after its answer"),
        (b"HTTP/1.1 200 " + b"x" * HEAD_BYTES, "the head of the proxy's answer is too large"),
        (b"HTTP/1.1 200 " + b"x" * HEAD_BYTES + b"\r\n\r\n", "the head of the proxy's answer is too large"),
        (b"HTTP/1.1 100 C\r\n\r\n" * 100, "the head of the proxy's answer is too large"),
    ],
)
def test_malformed_answer_is_a_failure(answer: bytes, expected: str) -> None:
    assert read_connect_answer(answer, HEAD_BYTES) == TunnelRefused(FailureCode.PROXY_FAILED, expected)


def test_body_of_a_refusal_may_be_large() -> None:
    verdict = read_connect_answer(b"HTTP/1.1 403 No\r\n\r\n" + b"x" * 10 * HEAD_BYTES, HEAD_BYTES)
    assert verdict == TunnelRefused(FailureCode.PROXY_REFUSED, "the proxy answered 403 No")
