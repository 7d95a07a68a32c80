"""What metrics cost: the same backlogs without and with them, in turns, while they are read as by Prometheus."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event, Thread

import requests

from stack.free_ports import free_ports
from webhookd_load_test.benchmarks.cases.backlog_case import Backlog
from webhookd_load_test.benchmarks.cases.bench_case import Bench, require
from webhookd_load_test.benchmarks.cases.result_table import Row

ROUNDS = 3
"""Runs of each kind. They take turns, so that what else the machine does meets both."""

MOST = {1: 1.03, 100: 1.03}
"""By the records in a request: with metrics it takes at most so many times the CPU of one without."""

SCRAPE_S = 5.0
SCRAPE_TIMEOUT_S = 5.0
PORTS = 8
"""How many ports the processes of a pipeline may choose from."""

BIND = "WEBHOOKD_METRICS_BIND"


class Scraper:
    """Reads the metrics of every process that serves some on one of these ports, every SCRAPE_S."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._stop = Event()
        self._thread = Thread(target=self._run, name="scraper", daemon=True)
        self.read: dict[int, int] = {}
        """By port: how often it was read."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(SCRAPE_TIMEOUT_S + 1.0)

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stop.wait(SCRAPE_S):
                for port in self._ports:
                    self._read(session, port)

    def _read(self, session: requests.Session, port: int) -> None:
        try:
            answer = session.get(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_TIMEOUT_S)
        except requests.RequestException:  # no process has this port
            return
        if answer.ok and "webhookd_build_info" in answer.text:
            self.read[port] = self.read.get(port, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WithMetrics(Backlog):
    """The same case while the processes serve metrics, and something reads them."""

    def run(self, bench: Bench) -> list[Row]:
        """Deliver and measure; raises CaseFailedError if nobody could read the metrics of both processes."""
        first = free_ports(1)[0]
        with bench.rig.settings({BIND: f"127.0.0.1:{first}-{first + PORTS - 1}"}):
            scraper = Scraper(range(first, first + PORTS))
            scraper.start()
            try:
                rows = super(WithMetrics, self).run(bench)
            finally:
                scraper.stop()
        require(
            bench.short or len(scraper.read) > 1, f"{self.name}: metrics of {len(scraper.read)} processes were read"
        )
        return rows


def metrics(bench: Bench) -> list[Row]:
    """The same backlogs without and with metrics: their cost is a ratio of rows of one run."""
    if bench.short:
        return WithMetrics(name="batch 1, with metrics").run(bench)
    return [row for batch, most in MOST.items() for row in _with_and_without(bench, batch, most)]


def _with_and_without(bench: Bench, batch: int, most: float) -> list[Row]:
    each = "request" if batch == 1 else "record"
    without: list[Row] = []
    served: list[Row] = []
    for _ in range(ROUNDS):
        with bench.rig.settings({BIND: ""}):
            without += Backlog(name=f"batch {batch}, without metrics", each=each, batch=batch).run(bench)
        served += WithMetrics(name=f"batch {batch}, with metrics", each=each, batch=batch).run(bench)
    plain, found = together(without), together(served)
    ratio = found.ours_us / plain.ours_us
    remark = f"{ratio:.3f} times the CPU without metrics (≤ {most:.2f}); runs: {_each(without)} and {_each(served)} µs"
    return [plain, replace(found, remark=remark, fault="" if ratio <= most else f"metrics: {remark}")]


def together(rows: Sequence[Row]) -> Row:
    """Return one row for several runs of a case: sums of the times and counts, the last resident memory."""
    first = rows[0]
    return replace(
        rows[-1],
        elapsed_s=sum(row.elapsed_s for row in rows),
        requests=sum(row.requests for row in rows),
        records=sum(row.records for row in rows),
        cpu_s={name: sum(row.cpu_s[name] for row in rows) for name in first.cpu_s},
    )


def _each(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.ours_us:.1f}" for row in rows)
