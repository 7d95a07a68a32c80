"""A receiver that checks the order of records: one process, one epoll loop, some microseconds a request.

    python -m webhookd_load_test.benchmarks.endpoints.checking_receiver --port 31001 [--delay-s 0.2]

It responds 200 to every request, after `--delay-s`. `GET /report` returns the counts so far as JSON. `GET /reset`
returns them too, and restarts counting and timing, but keeps the order of each lane. A lane is a request path, a topic
and a partition: a record is in order when its offset is one above the last.
"""

import json
import re
import select
import socket
import time
from array import array
from collections import deque

import click

RECORD = re.compile(rb'\{"topic":"([^"]+)","partition":(\d+),"offset":(\d+),')
SENT = re.compile(rb'"sent_ns":"0*([1-9]\d*)"')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
READ_BYTES = 1 << 20
LENGTH = b"Content-Length: "


class Order:
    """The order of one lane's records."""

    __slots__ = ("duplicates", "first", "high", "missing", "next", "rewinds")

    def __init__(self, first: int) -> None:
        self.first = self.next = self.high = first
        self.duplicates = self.missing = self.rewinds = 0

    def note(self, offset: int) -> None:
        """Count one record."""
        if offset > self.next:
            self.missing += offset - self.next
        elif offset < self.next:
            self.rewinds += 1
        if offset < self.high:
            self.duplicates += 1
        self.next = offset + 1
        self.high = max(self.high, self.next)


class Tally:
    """Counts of all that was received."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[bytes, bytes, bytes], Order] = {}
        self.reset()

    def reset(self) -> None:
        """Restart counting and timing; the order of the lanes is kept."""
        self.requests = self.records = 0
        self._late_ms = array("d")

    def add(self, path: bytes, body: bytes) -> None:
        """Count one request."""
        now_ns = time.time_ns()
        self.requests += 1
        for topic, partition, offset in RECORD.findall(body):
            self.records += 1
            lane = (path, topic, partition)
            if lane not in self._lanes:
                self._lanes[lane] = Order(int(offset))
            self._lanes[lane].note(int(offset))
        self._late_ms.extend((now_ns - int(sent)) / 1e6 for sent in SENT.findall(body))

    def report(self) -> bytes:
        """All counts as JSON; latencies in milliseconds."""
        late = sorted(self._late_ms)
        at = {p: late[min(len(late) - 1, int(len(late) * p / 100))] if late else 0.0 for p in (50, 99, 100)}
        lanes = self._lanes.values()
        known = {
            "requests": self.requests,
            "records": self.records,
            "duplicates": sum(lane.duplicates for lane in lanes),
            "missing": sum(lane.missing for lane in lanes),
            "rewinds": sum(lane.rewinds for lane in lanes),
            "received_ends": {_name(key): [lane.first, lane.high] for key, lane in self._lanes.items()},
            "timed": len(late),
            "p50_ms": at[50],
            "p99_ms": at[99],
            "max_ms": at[100],
        }
        return json.dumps(known).encode()


def _name(lane: tuple[bytes, bytes, bytes]) -> str:
    return b" ".join(lane).decode()


class Peer:
    """One connection, and the bytes that have arrived on it."""

    __slots__ = ("arrived", "sock", "wanted")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.arrived = b""
        self.wanted = 0

    def request(self) -> tuple[bytes, bytes] | None:
        """The head and body of the next request when it is complete, else None."""
        if len(self.arrived) < self.wanted:
            return None
        head_end = self.arrived.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return None
        head = self.arrived[:head_end]
        _, _, length = head.partition(LENGTH)
        self.wanted = head_end + int(length.split(b"\r", 1)[0] or 0)
        if len(self.arrived) < self.wanted:
            return None
        body, self.arrived = self.arrived[head_end : self.wanted], self.arrived[self.wanted :]
        self.wanted = 0
        return head, body


class Receiver:
    """The server; it runs until it is killed."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._tally = Tally()
        self._delay_s = delay_s
        self._due: deque[tuple[float, Peer]] = deque()
        self._peers: dict[int, Peer] = {}
        self._epoll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.settimeout(0)
        self._epoll.register(self._listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for fd, _ in self._epoll.poll(wait_s):
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(self._peers[fd])
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._answer(self._due.popleft()[1], OK)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[sock.fileno()] = Peer(sock)
        self._epoll.register(sock, select.EPOLLIN)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            del self._peers[peer.sock.fileno()]
            peer.sock.close()
            return
        peer.arrived += data
        while request := peer.request():
            self._handle(peer, *request)

    def _handle(self, peer: Peer, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            report = self._tally.report()
            if path == b"/reset":
                self._tally.reset()
            self._answer(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(report), report))
            return
        self._tally.add(path, body)
        if self._delay_s:
            self._due.append((time.monotonic() + self._delay_s, peer))
        else:
            self._answer(peer, OK)

    @staticmethod
    def _answer(peer: Peer, answer: bytes) -> None:
        try:
            peer.sock.send(answer)
        except OSError:
            return  # closed: the next read closes the connection


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--delay-s", type=click.FloatRange(0), default=0.0, show_default=True)
def main(port: int, delay_s: float) -> None:
    """Run the server until it is killed."""
    Receiver(port, delay_s).run()


if __name__ == "__main__":
    main()
