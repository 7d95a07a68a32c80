"""A receiver that can misbehave, and records when each record arrived, whether again, and in which order.

It responds 200 unless its behaviour was changed, or its `judge` returns another status for the request. A record counts
as arrived when its whole request was read and a whole 200 is about to be sent: records of a request with another
response must be sent again.
"""

import contextlib
import json
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Self

from stack.free_ports import free_ports

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"
LIMITED = b"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 x\r\nContent-Length: 0\r\n\r\n"
HALF = b"HTTP/1.1 20"
DRIP_INTERVAL_S = 0.2

Judge = Callable[[int, Sequence[int]], int]
"""The status for a request: by the length of its body in bytes, and the load's numbers of its records."""


def accept(_length: int, _numbers: Sequence[int]) -> int:
    """Status 200 for everything."""
    return 200


class Behaviour(Enum):
    """What the receiver does with a request."""

    ANSWER = "answers"
    ERROR = "answers 500"
    LIMIT = "answers 429 with Retry-After"
    GONE = "answers 410"
    HANG = "hangs"
    BREAK = "closes in its status line"
    DRIP = "drips its status line"
    REFUSE = "refuses connections"


class LaneKey(NamedTuple):
    """A partition of one incarnation of a topic: a topic that is deleted and recreated starts a new incarnation."""

    topic: str
    incarnation: int
    partition: int


class Arrival(NamedTuple):
    """The arrival of one record; `number` is the load's own, `at` is monotonic."""

    at: float
    offset: int
    number: int


@dataclass(slots=True)
class Arrivals:
    """The arrivals of one lane, in order: first arrivals, and repeats."""

    first: list[Arrival] = field(default_factory=list)
    again: list[Arrival] = field(default_factory=list)
    backwards: int = 0
    seen: set[int] = field(default_factory=set)

    def note(self, arrival: Arrival) -> None:
        """Add an arrival."""
        if arrival.number in self.seen:
            self.again.append(arrival)
            return
        if self.first and arrival.offset < self.first[-1].offset:
            self.backwards += 1
        self.seen.add(arrival.number)
        self.first.append(arrival)


class Refusal(NamedTuple):
    """A request that the judge refused, at `at` (monotonic), and how many records it had."""

    at: float
    status: int
    records: int


class CheckingReceiver:
    """A context: an HTTP/1.1 server on 127.0.0.1, one thread per connection."""

    def __init__(self, judge: Judge = accept) -> None:
        self.refusals: list[Refusal] = []
        self._judge = judge
        self._lock = threading.Lock()
        self._lanes: defaultdict[LaneKey, Arrivals] = defaultdict(Arrivals)
        self._behaviour = Behaviour.ANSWER
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._close()

    def behave(self, behaviour: Behaviour) -> None:
        """Change the behaviour; a request that hangs continues to hang until its client closes."""
        self._behaviour = behaviour
        if behaviour is Behaviour.REFUSE:
            self._close()
        elif self._listener is None:
            self._listen()

    def remember(self, messages: list[dict[str, Any]], at: float) -> None:
        """Record these messages, which are about to be acknowledged."""
        with self._lock:
            for message in messages:
                value = message["value"]
                lane = self._lanes[LaneKey(message["topic"], value["incarnation"], message["partition"])]
                lane.note(Arrival(at, message["offset"], value["n"]))

    def lanes(self) -> dict[LaneKey, Arrivals]:
        """A copy of what has arrived so far."""
        with self._lock:
            return {
                key: Arrivals([*lane.first], [*lane.again], lane.backwards, set(lane.seen))
                for key, lane in self._lanes.items()
            }

    def missing_count(self, wanted: set[int]) -> int:
        """How many of these records have not arrived."""
        with self._lock:
            return len(wanted.difference(*(lane.seen for lane in self._lanes.values())))

    @property
    def count(self) -> int:
        """How many records have arrived, repeats included."""
        with self._lock:
            return sum(len(lane.first) + len(lane.again) for lane in self._lanes.values())

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=512)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
            listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        buffer = bytearray()
        with sock, contextlib.suppress(OSError):
            while (body := _read(sock, buffer)) is not None and self._answer(sock, body):
                pass
        with self._lock:
            self._sockets.discard(sock)

    def _judged(self, body: bytes) -> bytes:
        """The response of the judge; what it accepts is recorded."""
        messages, now = json.loads(body)["messages"], time.monotonic()
        status = self._judge(len(body), [message["value"]["n"] for message in messages])
        if status == 200:
            self.remember(messages, now)
            return OK
        with self._lock:
            self.refusals.append(Refusal(now, status, len(messages)))
        return b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status

    def _answer(self, sock: socket.socket, body: bytes) -> bool:
        """Whether the connection may be used again."""
        match self._behaviour:
            case Behaviour.ANSWER:
                sock.sendall(self._judged(body))
            case Behaviour.ERROR:
                sock.sendall(ERROR)
            case Behaviour.LIMIT:
                sock.sendall(LIMITED)
            case Behaviour.GONE:
                sock.sendall(GONE)
            case Behaviour.HANG:
                sock.recv(1)  # returns when the client closes
                return False
            case Behaviour.BREAK:
                sock.sendall(HALF)
                return False
            case Behaviour.DRIP:
                _drip(sock)
                return False
            case Behaviour.REFUSE:
                return False
        return True


def _drip(sock: socket.socket) -> None:
    """Send a byte of a status line now and then until the client closes: a whole one would acknowledge the records."""
    sock.sendall(b"HTTP/1.1 200 ")
    while not select.select([sock], [], [], DRIP_INTERVAL_S)[0]:
        sock.sendall(b"x")


def _read(sock: socket.socket, buffer: bytearray) -> bytes | None:
    """The body of the next request; None when the client has closed."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if not _more(sock, buffer):
            return None
    lines = bytes(buffer[:end]).lower().split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length"))
    while len(buffer) < end + 4 + length:
        if not _more(sock, buffer):
            return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    return body


def _more(sock: socket.socket, buffer: bytearray) -> bool:
    data = sock.recv(262_144)
    buffer += data
    return bool(data)
