"""Which URLs are accepted for an endpoint, and the request head made from one."""

import pytest

from webhookd import __version__
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.target import Target, check_url, request_head


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "path", "host_header"),
    [
        ("http://example.com", False, "example.com", 80, "/", "example.com"),
        ("https://example.com/", True, "example.com", 443, "/", "example.com"),
        ("HTTPS://EXAMPLE.com:443/A/b", True, "example.com", 443, "/A/b", "example.com"),
        ("https://example.com:80/", True, "example.com", 80, "/", "example.com:80"),
        ("http://example.com:8080/hook?a=1&b=%20", False, "example.com", 8080, "/hook?a=1&b=%20", "example.com:8080"),
        ("http://example.com?token=1", False, "example.com", 80, "/?token=1", "example.com"),
        ("http://example.com/a@b:c", False, "example.com", 80, "/a@b:c", "example.com"),
        ("http://my_service:9000/", False, "my_service", 9000, "/", "my_service:9000"),
        ("http://localhost/", False, "localhost", 80, "/", "localhost"),
        ("http://example.com./", False, "example.com.", 80, "/", "example.com."),
        ("http://192.0.2.1/", False, "192.0.2.1", 80, "/", "192.0.2.1"),
        ("http://0x7f.1/", False, "0x7f.1", 80, "/", "0x7f.1"),
        ("http://[2001:DB8::0:1]:8080/", False, "2001:db8::1", 8080, "/", "[2001:db8::1]:8080"),
        ("https://[::1]/", True, "::1", 443, "/", "[::1]"),
        ("https://bücher.example/", True, "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("https://straße.example/", True, "xn--strae-oqa.example", 443, "/", "xn--strae-oqa.example"),
        ("https://例え。テスト/", True, "xn--r8jz45g.xn--zckzah", 443, "/", "xn--r8jz45g.xn--zckzah"),
        ("https://example.com/ä?ö=ü", True, "example.com", 443, "/%C3%A4?%C3%B6=%C3%BC", "example.com"),
    ],
)
def test_url_is_parsed(  # the columns of the table
    url: str, tls: bool, host: str, port: int, path: str, host_header: str
) -> None:
    assert Target.parse(url) == Target(tls=tls, host=host, port=port, path=path, host_header=host_header)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "/hook", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "http:example.com",
        "http://", "http:///hook", "http://:80/", "http://user@example.com/", "http://user:secret@example.com/",
        "http://@example.com/", "http://example.com/#part", "http://example.com/#", "http://exa mple.com/",
        "http://example.com/a b", " http://example.com/", "http://example.com/\r\nX: y", "http://example.com/\x00",
        "http://example.com/\t", "http://exam\nple.com/", "http://example.com\\@evil.test/", "http://example.com/\x7f",
        "http://example.com/\u2028", "http://example.com/\ud800", "http://example.com:0/", "http://example.com:65536/",
        "http://example.com:-1/", "http://example.com:8o/", "http://example.com:/", "http://example.com:٨٠/",
        "http://[::1/", "http://::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/",
        "http://[v1.x]/", "http://[127.0.0.1]/", "http://a..b/", "http://.example.com/", "http://-a.com/",
        "http://a-.com/", "http://exa%6dple.com/", "http://a,b/", "http://a;b/", "http://*.example.com/",
        "http://" + "a" * 64 + ".com/", "http://" + "a." * 130 + "com/", "http://example.com/" + "a" * 2048,
        "http://\u200b.com/", "http://xn--\u00e4.com/",
    ],
)  # fmt: skip
def test_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Target.parse(url)
    assert refused.value.field == "url"
    assert refused.value.detail


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("example.com/hook", "has no scheme: write https://example.com/hook"),
        ("//example.com/", "has no scheme: write https://example.com/"),
        ("localhost:8080", "has no scheme: write https://localhost:8080"),
        ("/hook", "has no scheme: write a URL that begins with https:// or http://"),
        ("ftp://example.com/", "has the scheme ftp: write http or https"),
        ("http:example.com", "has no host: write one after http://"),
        ("http://user:secret@example.com/", "has a user or a password: send it in a header"),
        ("http://example.com/#part", "has a fragment, which is never sent: leave out the # and what follows"),
        ("user:secret@example.com", "has no scheme: write a URL that begins with https:// or http://"),
    ],
)
def test_refusal_says_what_to_write(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Target.parse(url)
    assert refused.value.detail == reason


FOREIGN = "has the character {0}, which is in no URL: write {1} for it"
NO_OCTET = "has a % that two hexadecimal digits do not follow: write %25 for a % that means itself"
UNPRINTABLE = "has a space, a control character or a backslash"
LOGIN = "has a user or a password: send it in a header"
NO_HOST_NAME = "has a host that is not a host name"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *[(f"https://a.example/x{char}y", FOREIGN.format(char, code)) for char, code in (
            ("{", "%7B"), ("}", "%7D"), ("|", "%7C"), ("^", "%5E"), ('"', "%22"), ("<", "%3C"), (">", "%3E"),
            ("`", "%60"),
        )],
        *[(f"https://a{char}.example/", NO_HOST_NAME) for char in '{}|^"<>`%'],
        ("https://a.example/?q={id}", FOREIGN.format("{", "%7B")),
        ("https://a.example/%zz", NO_OCTET),
        ("https://a.example/%", NO_OCTET),
        ("https://a.example/%4", NO_OCTET),
        ("https://a.example/?a=100%", NO_OCTET),
        ("https://a.example/%%34%31", NO_OCTET),
        ("https://a.example/%ⅫA", NO_OCTET),
        ("https://a.example/\\b", UNPRINTABLE),
        ("https://a.example/a b", UNPRINTABLE),
        ("https://a.example\\@b.example/", UNPRINTABLE),
        ("https://a.example@b.example/", LOGIN),
        ("https://a.example:443@b.example/", LOGIN),
        ("https://@b.example/", LOGIN),
        ("https://a%40b.example/", NO_HOST_NAME),
        ("https://a.example%2f@b.example/", LOGIN),
        ("https://a.example#@b.example/", "has a fragment, which is never sent: leave out the # and what follows"),
        ("https://%31%32%37.0.0.1/", NO_HOST_NAME),
        ("https://a.example../", NO_HOST_NAME),
        ("https://./", NO_HOST_NAME),
        ("https://a..example/", NO_HOST_NAME),
        ("https://[::1%25lo]/", "has a host that is not an IPv6 address"),
        ("https://a.example:65536/", "has a port that is not between 1 and 65535"),
        ("https://a.example:+443/", "has a port that is not between 1 and 65535"),
        ("https://a.example:/", "has no port after the colon"),
        ("gopher://a.example/", "has the scheme gopher: write http or https"),
        ("https://" + "a" * 2041, "is longer than 2048 characters"),
    ],
)  # fmt: skip
def test_url_that_may_not_be_registered_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url)
    assert (refused.value.field, refused.value.detail) == ("url", reason)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/?a[]=1&b=%7B%7d", "a.example"),
        ("https://a.example./", "a.example."),
        ("https://①②⑦.⓪.⓪.①/", "127.0.0.1"),
        ("https://127。0。0。1/", "127.0.0.1"),
        ("https://127\uff0e0\uff0e0\uff0e1/", "127.0.0.1"),
        ("https://\uff11\uff12\uff17.0.0.1/", "127.0.0.1"),
        ("https://ⓛocalhost/", "localhost"),
        ("https://0x7F.1/", "0x7f.1"),
        ("https://a.example/a@b", "a.example"),
        ("https://a.example?@b.example/", "a.example"),
        ("https://a.example/" + "%41" * 10, "a.example"),
    ],
)
def test_url_that_may_be_registered_has_the_host_that_is_judged(url: str, host: str) -> None:
    check_url(url)
    assert Target.parse(url).host == host


def test_url_that_an_earlier_version_has_stored_is_still_sent_to() -> None:
    assert Target.parse("https://a.example/{id}?x=100%").path == "/{id}?x=100%"


TARGET = Target.parse("https://example.com:8443/hook?x=1")


def test_request_head_has_the_constant_headers() -> None:
    assert request_head(TARGET, [("X-Api-Key", "secret"), ("X-Name", "Jürgen")], "application/json") == (
        "POST /hook?x=1 HTTP/1.1\r\n"
        "Host: example.com:8443\r\n"
        f"User-Agent: webhookd/{__version__}\r\n"
        "Accept: */*\r\n"
        "Accept-Encoding: identity\r\n"
        "Content-Type: application/json\r\n"
        "X-Api-Key: secret\r\n"
        "X-Name: Jürgen\r\n"
    ).encode("latin-1")


def test_given_user_agent_replaces_the_default() -> None:
    head = request_head(TARGET, [("user-agent", "mine"), ("ACCEPT", "text/plain")], "application/json")
    assert head.lower().count(b"user-agent") == 1
    assert b"user-agent: mine\r\n" in head
    assert b"*/*" not in head


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"), ("X Y", "x"), ("X:", "x"), ("X\r\n", "x"), ("Ä", "x"), ("X", "a\r\nB: c"), ("X", "a\nb"),
        ("X", "\x00"), ("X", "\x7f"), ("X", "€"),
    ],
)  # fmt: skip
def test_header_that_breaks_framing_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        request_head(TARGET, [(name, value)], "application/json")
    assert refused.value.field == "headers"
