"""The endpoint of a subscription: its URL, parsed and checked once, and the constant part of the request head.

The check is about syntax only. Whether the operators allow it and the address of its host may be dialled is decided in
`webhookd.flow.attempt.egress_policy`: resolvers accept too many spellings of an address for a check of the text.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import NoReturn
from urllib.parse import SplitResult, quote, urlsplit

import idna

from webhookd import __version__
from webhookd.errors import InvalidInput
from webhookd.flow.destination import Method

MAX_URL_CHARS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEME_SHOWN = 20

_UNPRINTABLE_OR_SPACE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_NOT_IN_URLS = re.compile(r'[{}|^"<>`]')  # RFC 3986 has them nowhere: neither reserved nor unreserved
_NO_OCTET = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")  # no scope id: a scoped address is local to this machine
# Underscores are not allowed in host names, but compose files and internal DNS often use them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint: what is dialled (`host` in lower case and IDNA, without brackets) and the request line.

    `tls_context` is for the HTTP client, which alone knows its type; None stands for the context of the settings.
    """

    tls: bool
    host: str
    port: int
    path: str
    host_header: str
    tls_context: Hashable | None = None

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Parse the URL of an endpoint. Raises InvalidInput (field `url`) with the reason if it cannot be used."""
        parts = _split(url)
        host = _host(parts)
        port = _port(parts)
        name = f"[{host}]" if ":" in host else host
        return cls(
            tls=parts.scheme == "https",
            host=host,
            port=port,
            path=_path(parts),
            host_header=name if port == DEFAULT_PORTS[parts.scheme] else f"{name}:{port}",
        )


def check_url(url: str) -> None:
    """Raise InvalidInput (field `url`) with the reason for a URL that may not be registered.

    Stricter than `Target.parse`, which has to go on reading what an earlier version has stored.
    """
    Target.parse(url)
    foreign = _NOT_IN_URLS.search(url)
    if foreign is not None:
        _refuse(f"has the character {foreign[0]}, which is in no URL: write {quote(foreign[0])} for it")
    if _NO_OCTET.search(url):
        _refuse("has a % that two hexadecimal digits do not follow: write %25 for a % that means itself")


def request_head(
    target: Target, headers: Sequence[tuple[str, str]], content_type: str, method: str = Method.POST
) -> bytes:
    """The part of the request head that is the same for each request; it ends with a CRLF.

    The caller appends further header lines (`webhook-id`, `Content-Length` …), an empty line and the body. A
    `User-Agent` or `Accept` in `headers` replaces the default. Raises InvalidInput (field `headers`) for a header that
    would break the framing.
    """
    given = {name.lower() for name, _ in headers}
    defaults = [("User-Agent", f"webhookd/{__version__}"), ("Accept", "*/*")]
    fields = [
        ("Host", target.host_header),
        *[(name, value) for name, value in defaults if name.lower() not in given],
        ("Accept-Encoding", "identity"),
        ("Content-Type", content_type),
        *headers,
    ]
    lines = [f"{method} {target.path} HTTP/1.1", *[_field(name, value) for name, value in fields]]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def _refuse(reason: str) -> NoReturn:
    raise InvalidInput(reason, field="url")


def _split(url: str) -> SplitResult:
    if not url:
        _refuse("is empty: write a URL, such as https://example.com/hook")
    if len(url) > MAX_URL_CHARS:
        _refuse(f"is longer than {MAX_URL_CHARS} characters")
    if _UNPRINTABLE_OR_SPACE.search(url) or "\\" in url:
        _refuse("has a space, a control character or a backslash")
    try:
        parts = urlsplit(url)
    except ValueError:
        _refuse("is not a URL: write one such as https://example.com/hook")
    if parts.scheme not in DEFAULT_PORTS:
        _refuse(_scheme_refused(url))
    if "@" in parts.netloc:
        _refuse("has a user or a password: send it in a header")
    if "#" in url:
        _refuse("has a fragment, which is never sent: leave out the # and what follows")
    return parts


def _scheme_refused(url: str) -> str:
    scheme, found, _ = url.partition("://")
    if found and scheme:
        return f"has the scheme {scheme[:SCHEME_SHOWN]}: write http or https"
    meant = f"https://{url.removeprefix('://').removeprefix('//')}"
    try:
        Target.parse(meant)
    except InvalidInput:
        return "has no scheme: write a URL that begins with https:// or http://"
    return f"has no scheme: write {meant}"


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if not host:
        _refuse(f"has no host: write one after {parts.scheme}://")
    if "[" in parts.netloc or "]" in parts.netloc:
        return _ipv6(host, parts.netloc)
    if not host.isascii():
        host = _idna(host)
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("has a host that is not a host name")
    return host


def _ipv6(host: str, netloc: str) -> str:
    if not _BRACKETED.fullmatch(netloc):
        _refuse("has a host that is not an IPv6 address")
    try:
        address = IPv6Address(host)
    except AddressValueError:
        _refuse("has a host that is not an IPv6 address")
    return address.compressed


def _idna(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        _refuse("has a host that is not an internationalised host name")


def _port(parts: SplitResult) -> int:
    if parts.netloc.endswith(":"):
        _refuse("has no port after the colon")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        _refuse("has a port that is not between 1 and 65535")
    return port or DEFAULT_PORTS[parts.scheme]


def _path(parts: SplitResult) -> str:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return path if path.isascii() else "".join(char if char.isascii() else quote(char) for char in path)


def _field(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise InvalidInput(f"the header {name!r} cannot be sent", field="headers")
    return f"{name}: {value}"
