"""A request as an endpoint receives it, and the answer that it gives, right or wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from http import HTTPStatus

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_BODY = {204, 304}


class BadRequest(ValueError):
    """What arrived is not an HTTP/1.1 request; the text says why."""


class Misbehaviour(Enum):
    """How an endpoint fails to answer a request that it has read."""

    HANG = "no answer until the client closes"
    BREAK = "the connection closes in the status line"
    DRIP = "one byte of an endless status line now and then"


@dataclass(slots=True)
class ReceivedRequest:
    """One request; `received_ns` is when its last byte was read, in nanoseconds since the epoch.

    `head` has the request line and the header lines as they arrived. Headers are parsed when they are asked for.
    `closes`: the client wants the connection closed after the answer.
    """

    method: str
    path: str
    head: bytes
    body: bytes
    received_ns: int
    closes: bool = False

    @property
    def header_lines(self) -> tuple[tuple[str, str], ...]:
        """Names and values as they arrived, in their order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        pairs = (line.partition(":") for line in lines)
        return tuple((name, value.strip()) for name, _, value in pairs)

    @property
    def headers(self) -> dict[str, str]:
        """Values by the name in lower case; a name that arrived more than once has its values joined by commas."""
        found: dict[str, str] = {}
        for name, value in self.header_lines:
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return found


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an endpoint answers after `delay_s`; with a misbehaviour, what it does in place of an answer.

    Content-Length is added. The bytes are made once: an answer that is given often is best made once, too.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    misbehaviour: Misbehaviour | None = None

    @property
    def acknowledges(self) -> bool:
        """Whether webhookd takes it for a success."""
        return self.misbehaviour is None and 200 <= self.status < 300

    @cached_property
    def head(self) -> bytes:
        """The status line and the header lines."""
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    @cached_property
    def response(self) -> bytes:
        """The whole response."""
        return self.head if self.status in _WITHOUT_BODY else self.head + self.body
