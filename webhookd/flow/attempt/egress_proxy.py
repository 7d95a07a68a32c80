"""The egress proxy: the CONNECT request for each connection (RFC 9110 §9.3.6), and what its response means.

response so far                                        result
the start of an HTTP/1.x head, or only 1xx heads       None: more bytes must arrive
2xx                                                    TunnelOpened: the following bytes come from the endpoint
any other status                                       TunnelRefused, proxy_refused
not HTTP, a head above the limit, bytes after a 2xx    TunnelRefused, proxy_failed
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from webhookd import __version__
from webhookd.errors import InvalidInput, UnusableSetting
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.target import Target

SETTING = "egress_proxy"

_URL = re.compile(
    r"http://(?:(?P<login>[^@/?#]*)@)?(?P<authority>(?:\[[^\]@/?#]+\]|[^:\[\]@/?#]+):[0-9]+)/?", re.IGNORECASE
)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_START = b"HTTP/1."
_END_OF_HEAD = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?(?:\r\n.*)?", re.DOTALL)
_UNPRINTABLE = re.compile(r"[^ -~]")
_REASON_CHARS = 80  # of the proxy's reason phrase, which is logged and shown in the activity


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """The proxy has connected to the endpoint."""


@dataclass(frozen=True, slots=True)
class TunnelRefused:
    """The proxy has not connected; `detail` explains it to people."""

    code: FailureCode
    detail: str


ConnectResult = TunnelOpened | TunnelRefused
OPENED: Final = TunnelOpened()


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressProxy:
    """The proxy that every connection goes through. Its representation never shows the credentials."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "EgressProxy":
        """Parse the proxy's URL: `http://host:port`, or `http://user:password@host:port`.

        Raises UnusableSetting. The error's text repeats nothing of the URL, which may contain a password anywhere.
        """
        found = _URL.fullmatch(url)
        if found is None:
            _refuse('is not of the form http://host:port or http://user:password@host:port ("%40" is an @ in them)')
        try:
            target = Target.parse(f"http://{found['authority']}/")
        except InvalidInput as error:
            _refuse(str(error))
        return cls(host=target.host, port=target.port, authorization=_basic(found["login"] or ""))

    def request(self, host: str, port: int) -> bytes:
        """The CONNECT request for this host, which must come from a `Target`."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"User-Agent: webhookd/{__version__}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def read_connect_answer(arrived: bytes, head_bytes: int) -> ConnectResult | None:
    """Return the result, from all bytes that have arrived from the proxy so far; None while more must arrive.

    No bytes may follow a 2xx head, even if it has a Content-Length: an endpoint sends nothing before it gets a request.
    """
    rest = arrived
    while True:
        head, end, after = rest.partition(_END_OF_HEAD)
        found = _STATUS_LINE.fullmatch(head)
        if not _START.startswith(rest[: len(_START)]) or (end and found is None):
            return TunnelRefused(FailureCode.PROXY_FAILED, "the proxy's answer is not HTTP")
        if len(arrived) - len(after) > head_bytes:
            return TunnelRefused(FailureCode.PROXY_FAILED, "the head of the proxy's answer is too large")
        if found is None or not end:
            return None
        status = int(found[1])
        if status == 101 or status >= 200:
            break
        rest = after
    if not 200 <= status < 300:
        return TunnelRefused(FailureCode.PROXY_REFUSED, f"the proxy answered {status} {_readable(found[2])}".rstrip())
    if after:
        return TunnelRefused(FailureCode.PROXY_FAILED, "the proxy sent bytes after its answer")
    return OPENED


def _refuse(reason: str) -> NoReturn:
    raise UnusableSetting(reason, setting=SETTING) from None


def _basic(login: str) -> str | None:
    if not login:
        return None
    user, _, password = (unquote_to_bytes(part) for part in login.partition(":"))
    if b":" in user or _CONTROL.search(user + password):
        _refuse("has a colon in the user name, or control characters")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")


def _readable(reason: bytes | None) -> str:
    return _UNPRINTABLE.sub("?", (reason or b"")[:_REASON_CHARS].decode("latin-1"))
