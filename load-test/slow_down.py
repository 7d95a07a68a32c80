"""Draws docs/pictures/slow-down.svg: the rate of a subscription whose endpoint answers 429 above a limit of its own.

    python load-test/slow_down.py

One subscription of 32 partitions with a backlog, and no limit set. The endpoint takes 100 requests a second, and 300
from the middle on; it answers every further one with 429. The picture shows, for each second, what it has acknowledged
and what it has refused.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from publish import backlog, create_topics
from rig import ROOT, Rig
from stack.signals import Interrupted, raise_on_signals

PICTURE: Path = ROOT / "docs" / "pictures" / "slow-down.svg"
TOPIC, PARTITIONS, RECORDS = "slow-down", 32, 60_000
LASTS_S, CHANGES_AT_S = 120, 60
BURST_S = 0.25
"""How much of a second's requests the endpoint takes at once."""

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 300, 50, 20, 40
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #59636e }
.axis { stroke: #d1d9e0; fill: none } .limit { stroke: #59636e; stroke-dasharray: 4 3; fill: none }
.taken { stroke: #0969da; stroke-width: 2; fill: none } .refused { fill: #d1242f }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .axis { stroke: #3d444d } .taken { stroke: #4493f8 } .refused { fill: #f85149 }
}
"""


class QuietServer(ThreadingHTTPServer):
    """A server that does not print the errors of connections, which end with the worker."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


class Endpoint:
    """A server that takes so many requests a second as `limit` says; counts by the second since its first request."""

    def __init__(self) -> None:
        self.taken: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._began_at = 0.0
        self._full_at = 0.0
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def lasts_s(self) -> float:
        """The time since the first request."""
        return time.monotonic() - self._began_at if self._began_at else 0.0

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()

    def status(self) -> int:
        """Count a request; returns 200, or 429 above the limit."""
        with self._lock:
            now = time.monotonic()
            self._began_at = self._began_at or now
            second = int(now - self._began_at)
            full_at = max(self._full_at, now) + 1.0 / limit(second)
            if full_at - now > BURST_S:
                self.refused[second] += 1
                return 429
            self._full_at = full_at
            self.taken[second] += 1
            return 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Read the request and answer."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(endpoint.status())
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


def limit(second: int) -> int:
    """The requests a second that the endpoint takes."""
    return 100 if second < CHANGES_AT_S else 300


def drawn(endpoint: Endpoint) -> str:
    """The picture."""
    seconds = range(LASTS_S)
    highest = 1.1 * max([limit(LASTS_S), *endpoint.taken.values(), *endpoint.refused.values()])

    def place(second: float, count: float) -> str:
        x = LEFT + (WIDTH - LEFT - 10) * second / LASTS_S
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / highest):.1f}"

    def line(name: str, points: Iterator[str]) -> str:
        return f'<polyline class="{name}" points="{" ".join(points)}"/>'

    marks = "".join(
        f'<text x="{LEFT - 8}" y="{place(0, count).partition(",")[2]}" text-anchor="end">{count}</text>'
        for count in range(0, int(highest), 100)
    ) + "".join(
        f'<text x="{place(second, 0).partition(",")[0]}" y="{HEIGHT - 22}" text-anchor="middle">{second} s</text>'
        for second in range(0, LASTS_S + 1, 20)
    )
    dots = "".join(
        f'<circle class="refused" r="3" cx="{x}" cy="{y}"/>'
        for second in seconds
        if endpoint.refused[second]
        for x, y in [place(second + 0.5, endpoint.refused[second]).split(",")]
    )
    key = "blue: acknowledged requests a second; red: 429 in this second; dashed: what the endpoint takes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><style>{STYLE}</style>'
        + line("axis", iter([place(0, highest), place(0, 0), place(LASTS_S, 0)]))
        + line("limit", (place(second + part, limit(second)) for second in seconds for part in (0, 1)))
        + line("taken", (place(second + 0.5, endpoint.taken[second]) for second in seconds))
        + f'{dots}{marks}<text x="{LEFT}" y="{HEIGHT - 4}">{key}</text></svg>\n'
    )


def measure(rig: Rig) -> Endpoint:
    """Deliver to the endpoint; returns it with its counts."""
    create_topics(rig.kafka.address, {TOPIC: PARTITIONS})
    backlog(rig.kafka.address, TOPIC, PARTITIONS, RECORDS)
    endpoint = Endpoint()
    with rig.pipeline(), rig.subscription(endpoint.url, TOPIC, retry={"max_retries": 10}):
        while endpoint.lasts_s < LASTS_S:
            time.sleep(0.1)
    endpoint.close()
    return endpoint


def main() -> int:
    """Write the picture, and print the sums; returns the exit code."""
    raise_on_signals()
    try:
        with Rig() as rig:
            endpoint = measure(rig)
    except Interrupted as interrupted:
        return interrupted.exit_code
    PICTURE.write_text(drawn(endpoint), encoding="utf-8")
    for first, end in ((0, CHANGES_AT_S), (CHANGES_AT_S, LASTS_S)):
        taken, refused = (sum(of[s] for s in range(first, end)) for of in (endpoint.taken, endpoint.refused))
        print(f"{first} to {end} s: {taken / (end - first):.0f} of {limit(first)} requests/s taken, {refused} refused")
    print(f"written: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
