"""A receiver that records what it got: distinct records by topic, partition and offset, repeats, and their order."""

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

PATIENCE_S = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def status(code: int, *headers: str) -> bytes:
    """A whole HTTP response with this status."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {code} x\r\n{lines}Content-Length: 0\r\n\r\n".encode()


def slowly(seconds: float) -> "Callable[[Request], bytes]":
    """An answer to each request after so long. It bounds how many records a lane delivers, on any machine."""

    def answer(_request: Request) -> bytes:
        time.sleep(seconds)
        return OK

    return answer


@dataclass(slots=True)
class Request:
    """One received request; it has no `messages` if it is not a delivery."""

    method: str
    path: str
    headers: dict[str, str]
    messages: list[dict[str, Any]]
    body: bytes


@dataclass(slots=True)
class Lane:
    """What arrived of one partition: distinct offsets in the order of arrival, and repeats."""

    offsets: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    repeats: int = 0
    backwards: int = 0


class Receiver:
    """An HTTP/1.1 server on 127.0.0.1, one thread per connection. `answer` returns each response, and may block."""

    def __init__(self, answer: Callable[[Request], bytes] = lambda _request: OK) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.lanes: defaultdict[tuple[str, int], Lane] = defaultdict(Lane)
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        """Start to accept connections."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._listener.close()
        with self._changed:
            sockets = list(self._sockets)
        for sock in sockets:
            sock.close()

    @property
    def records(self) -> int:
        """How many distinct records were acknowledged."""
        return sum(len(lane.seen) for lane in self.lanes.values())

    @property
    def repeats(self) -> int:
        """How many records were acknowledged again."""
        return sum(lane.repeats for lane in self.lanes.values())

    @property
    def out_of_order(self) -> int:
        """How many records arrived for the first time after a later one of their lane."""
        return sum(lane.backwards for lane in self.lanes.values())

    def wait(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until the condition is true. Raises AssertionError with the counts when it is not in time."""
        with self._changed:
            if not self._changed.wait_for(condition, patience_s):
                raise AssertionError(f"{self.records} records in {len(self.requests)} requests after {patience_s} s")

    def wait_for_records(self, count: int, patience_s: float = PATIENCE_S) -> None:
        """Wait until this many distinct records were acknowledged."""
        self.wait(lambda: self.records >= count, patience_s)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._sockets.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        buffer = bytearray()
        try:
            while (request := _read(sock, buffer)) is not None:
                answer = self.answer(request)
                self._remember(request, acknowledged=answer.startswith(b"HTTP/1.1 2"))
                sock.sendall(answer)
        except OSError:
            return
        finally:
            with self._changed:
                self._sockets.discard(sock)
            sock.close()

    def _remember(self, request: Request, *, acknowledged: bool) -> None:
        with self._changed:
            self.requests.append(request)
            for message in request.messages if acknowledged else ():
                _note(self.lanes[message["topic"], message["partition"]], message["offset"])
            self._changed.notify_all()


def _note(lane: Lane, offset: int) -> None:
    if offset in lane.seen:
        lane.repeats += 1
        return
    if lane.offsets and offset < lane.offsets[-1]:
        lane.backwards += 1
    lane.seen.add(offset)
    lane.offsets.append(offset)


def _read(sock: socket.socket, buffer: bytearray) -> Request | None:
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if not _more(sock, buffer):
            return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(buffer) < end + 4 + length:
        if not _more(sock, buffer):
            return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    method, path, _ = first.split(" ")
    messages = json.loads(body).get("messages", []) if body else []
    return Request(method=method, path=path, headers=headers, messages=messages, body=body)


def _more(sock: socket.socket, buffer: bytearray) -> bool:
    data = sock.recv(262_144)
    buffer += data
    return bool(data)
