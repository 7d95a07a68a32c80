"""The benchmark's cases: what each sets up, when it is in steady state, and what it measures then."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from empty_task import round_trips_ms
from generate import PAID_EVERY
from measure import Usage, wait_until
from publish import Trickle, backlog, create_topics
from rig import LOGS, ROOT, Pipeline, Rig
from table import Row

BACKLOG_TOPIC = "backlog"
BACKLOG_PARTITIONS = 4

WARM_UP_S = 1.5
"""From the first request on: deliveries grow to the endpoint's pace within two or three of them."""

START_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 120.0
FLOOR_TIMEOUT_S = 60.0
LAST_SHARE = 0.92
"""Of the backlog: the lanes run dry at different moments, so the end is no steady state."""

OURS = ("ingest", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the cases share. `backlog` counts the records of the backlog's topic."""

    rig: Rig
    backlog: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """A case that delivers a backlog to nginx; `reads` says how many records are read for one that is sent."""

    name: str
    target: float = 0.0
    each: str = "request"
    batch: int = 1
    filters: tuple[str, ...] = ()
    reads: int = 1
    subscriptions: int = 1
    tls: bool = False

    def run(self, bench: Bench) -> list[Row]:
        """Deliver and measure."""
        rig = bench.rig
        url = rig.nginx.https_url if self.tls else rig.nginx.address
        with ExitStack() as exits:
            pipeline = exits.enter_context(rig.pipeline())
            before = rig.nginx_requests()
            at_start = pipeline.usage(rig.services)
            for _ in range(self.subscriptions):
                subscription = rig.subscription(url, BACKLOG_TOPIC, batch=self.batch, filters=self.filters)
                exits.enter_context(subscription)
            total = bench.backlog * self.subscriptions // self.reads // self.batch
            if self.filters:
                return [self._whole(bench, pipeline, (before, total), at_start)]
            return [self._steady(bench, pipeline, before, total)]

    def _steady(self, bench: Bench, pipeline: Pipeline, before: int, total: int) -> Row:
        """From the end of the warm-up until the time is up or little is left."""
        rig = bench.rig
        _must(wait_until(lambda: rig.nginx_requests() > before, START_TIMEOUT_S), f"{self.name}: no request came")
        time.sleep(WARM_UP_S)
        start, sent = pipeline.usage(rig.services), rig.nginx_requests()
        until = start.at + bench.seconds
        last = before + int(total * LAST_SHARE)
        wait_until(lambda: time.monotonic() >= until or rig.nginx_requests() >= last, bench.seconds + 1.0)
        return self._row(start, pipeline.usage(rig.services), rig.nginx_requests() - sent)

    def _whole(self, bench: Bench, pipeline: Pipeline, bounds: tuple[int, int], start: Usage) -> Row:
        """All of the backlog: what has been read ahead would not be counted in a part of it."""
        rig, (before, total) = bench.rig, bounds
        _must(wait_until(lambda: rig.nginx_requests() > before, START_TIMEOUT_S), f"{self.name}: no request came")
        began = time.monotonic()
        arrived = wait_until(lambda: rig.nginx_requests() - before >= total, RUN_TIMEOUT_S)
        _must(arrived, f"{self.name}: {rig.nginx_requests() - before} of {total} requests came")
        row = self._row(start, pipeline.usage(rig.services), total)
        return replace(row, elapsed_s=time.monotonic() - began)

    def _row(self, start: Usage, end: Usage, requests: int) -> Row:
        return _row(self.name, start, end, (requests, requests * self.batch * self.reads), (self.each, self.target))


def sparse(bench: Bench) -> list[Row]:
    """Subscriptions with a topic of one partition each, and a trickle to all of them."""
    lanes, per_lane_s, rig = 200, 10, bench.rig
    topics = {f"sparse-{number}": 1 for number in range(lanes)}
    create_topics(rig.kafka.address, topics)
    with rig.pipeline() as pipeline, ThreadPoolExecutor(8) as pool:
        before = rig.nginx_requests()
        ids = list(pool.map(lambda topic: rig.subscribe(rig.nginx.address, topic), topics))
        try:
            with Trickle(rig.kafka.address, topics, lanes * per_lane_s) as trickle:
                flowing = wait_until(lambda: rig.nginx_requests() - before >= 10 * lanes, START_TIMEOUT_S)
                _must(flowing, "sparse: the lanes do not flow")
                time.sleep(2 * WARM_UP_S)
                start, sent = pipeline.usage(rig.services), rig.nginx_requests()
                time.sleep(max(15.0, bench.seconds))
                end, requests = pipeline.usage(rig.services), rig.nginx_requests() - sent
                behind = trickle.produced - (rig.nginx_requests() - before)
        finally:
            list(pool.map(rig.unsubscribe, ids))
    row = _row("200 sparse lanes", start, end, (requests, requests), ("request", 3.0))
    return [
        replace(row, remark=f"{lanes} subscriptions × {per_lane_s} records/s; {behind} records under way at the end")
    ]


def latency(bench: Bench) -> list[Row]:
    """From the producer's call to the receiver's socket, at a steady 500 records a second."""
    rig, topic, per_s = bench.rig, {"latency": 4}, 500.0
    create_topics(rig.kafka.address, topic)
    with (
        rig.pipeline() as pipeline,
        rig.receiver() as receiver,
        rig.subscription(receiver.url, "latency"),
        Trickle(rig.kafka.address, topic, per_s),
    ):
        _must(wait_until(lambda: receiver.report()["requests"] > per_s, START_TIMEOUT_S), "latency: nothing came")
        time.sleep(2 * WARM_UP_S)
        receiver.reset()
        start = pipeline.usage(rig.services)
        time.sleep(max(12.0, bench.seconds))
        end, seen = pipeline.usage(rig.services), receiver.report()
    empty = round_trips_ms(rig.redis.address, LOGS / "empty-task.log")
    row = _row("500 records/s", start, end, (seen["requests"], seen["records"]), ("request", 0.0))
    p50, p99 = seen["p50_ms"], seen["p99_ms"]
    missed = "!" * (p50 > 6.0 or p99 > 20.0)
    remark = (
        f"append to receiver p50 {p50:.1f} ms (≤ 6), p99 {p99:.1f} ms (≤ 20){missed}, max {seen['max_ms']:.0f} ms; "
        f"{_order(seen)}; empty Celery task there and back p50 {empty[0]:.1f} ms, p99 {empty[1]:.1f} ms"
    )
    return [replace(row, remark=remark)]


def workers(bench: Bench) -> list[Row]:
    """1, 2 and 4 worker processes of 16 threads against endpoints that take 200 ms."""
    rig, threads, delay_s, topic, lanes = bench.rig, 16, 0.2, "slow", 96
    create_topics(rig.kafka.address, {topic: lanes})
    backlog(rig.kafka.address, topic, lanes, int(lanes * (bench.seconds + START_TIMEOUT_S) / delay_s))
    rows: list[Row] = []
    with rig.receiver(delay_s) as receiver:
        for count in (1, 2, 4):
            url = f"{receiver.url}workers-{count}"
            with rig.pipeline(count, threads) as pipeline, rig.subscription(url, topic):
                known = receiver.reset()["requests"]
                _must(wait_until(lambda: receiver.report()["requests"] > known, START_TIMEOUT_S), "workers: nothing")  # noqa: B023 - called at once
                time.sleep(2 * WARM_UP_S)
                receiver.reset()
                start = pipeline.usage(rig.services)
                time.sleep(bench.seconds)
                end, seen = pipeline.usage(rig.services), receiver.report()
            row = _row(f"{count} workers, 200 ms", start, end, (seen["requests"], seen["records"]), ("request", 0.0))
            rate = row.requests / row.elapsed_s
            linear = rate / count / (rows[0].requests / rows[0].elapsed_s if rows else rate)
            full = rate / (count * threads / delay_s)
            missed = "!" * (linear < 0.9)
            rows.append(
                replace(row, remark=f"{linear:.2f} of linear (≥ 0.9){missed}, {full:.2f} of all slots; {_order(seen)}")
            )
    return rows


CASES: Mapping[str, Callable[[Bench], list[Row]]] = {
    "batch-1": Backlog(name="batch 1", target=0.9).run,
    "batch-100": Backlog(name="batch 100", target=0.25, each="record", batch=100).run,
    "batch-1000": Backlog(name="batch 1000", each="record", batch=1000).run,
    "filter": Backlog(
        name="filter keeps 10 %", target=0.25, each="record", filters=("status == 'paid'",), reads=PAID_EVERY
    ).run,
    "https": Backlog(name="HTTPS, batch 1", target=1.1, tls=True).run,
    "fan-out": Backlog(name="10 on one topic", subscriptions=10).run,
    "sparse": sparse,
    "latency": latency,
    "workers": workers,
}
"""By the name that `make bench CASES=…` takes."""


def floor(bench: Bench, name: str, arguments: list[str], *, batch: int = 1, tls: bool = False) -> Row:
    """A floor, measured in a process of its own; see floors.py."""
    nginx = bench.rig.nginx
    endpoint = ["--url", nginx.https_url, "--ca-file", str(nginx.certificate)] if tls else ["--url", nginx.address]
    script = [sys.executable, str(Path(__file__).with_name("floors.py")), *arguments, *endpoint]
    source = ["--kafka", bench.rig.kafka.address, "--topic", BACKLOG_TOPIC, "--batch", str(batch)]
    answer = subprocess.run(
        [*script, *source],
        capture_output=True,
        text=True,
        timeout=FLOOR_TIMEOUT_S,
        check=False,
        env={**bench.rig.environment, "PYTHONPATH": str(ROOT)},
    )
    _must(answer.returncode == 0, f"{name}: {answer.stderr}")
    known = json.loads(answer.stdout)
    return Row(
        name=name,
        elapsed_s=known["elapsed_s"],
        requests=known["requests"],
        records=known["requests"] * batch,
        each="request" if batch == 1 else "record",
        cpu_s={"worker": known["cpu_s"]},
        resident_bytes={"itself": known["resident_bytes"]},
    )


def _row(name: str, start: Usage, end: Usage, counts: tuple[int, int], goal: tuple[str, float]) -> Row:
    return Row(
        name=name,
        elapsed_s=end.at - start.at,
        requests=counts[0],
        records=counts[1],
        each=goal[0],
        target=goal[1],
        cpu_s={process: end.cpu_s[process] - start.cpu_s[process] for process in end.cpu_s},
        resident_bytes={process: end.resident_bytes[process] for process in OURS},
    )


def _order(seen: Mapping[str, int]) -> str:
    return f"{seen['missing']} gaps, {seen['rewinds']} out of order, {seen['duplicates']} duplicates"


def _must(held: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not held:
        raise RuntimeError(f"{otherwise}; see {LOGS}")
