"""The benchmark's cases: what each sets up, and what it measures in steady state."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench_case import (
    SHORT_TIMEOUT_S,
    START_TIMEOUT_S,
    WARM_UP_S,
    Bench,
    arrived,
    check_all,
    check_order,
    order,
    require,
    row_of,
)
from empty_task import round_trips_ms
from measure import Usage, wait_until
from publish import Trickle, create_topics
from rig import LOGS, Pipeline
from table import Row

BACKLOG_TOPIC = "backlog"
BACKLOG_PARTITIONS = 4

BUFFERS_FILL_S = 10.0
"""With many lanes ingest reads ahead for this time, until reading and delivering are in balance."""

RUN_TIMEOUT_S = 120.0
PRODUCER_LINGER_MS = 5.0
"""The default of Kafka's own producer; without it a sparse trickle costs the broker a core."""

POLICY_CONDITION = "type == 'order.updated'"
POLICY_PROJECTION = {"exclude": ["customer.tier", "currency"]}
"""One equality condition, which holds for every record, and two paths to exclude."""

POLICY_RATIO = 3.0
"""A record with this policy takes at most so many times the CPU of one without. It is a ratio of two rows of one run,
so it holds on any machine that does nothing else meanwhile."""

SIGNED_RATIOS = {1: 1.15, 100: 1.10}
"""By the records in a request: a signed request takes at most so many times the CPU of one that is not signed. With 100
records it has 42 kB, for which SHA-256 alone takes 28 µs where the whole request takes 400 µs."""

LAST_SHARE = 0.92
"""The share of the backlog at which the measurement ends: lanes become empty at different times after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """A case that delivers a backlog; `reads` is how many records are read for each one that is sent."""

    name: str
    target: float = 0.0
    each: str = "request"
    batch: int = 1
    filters: tuple[str, ...] = ()
    reads: int = 1
    subscriptions: int = 1
    short_subscriptions: int = 1
    warm_up_s: float = WARM_UP_S
    tls: bool = False
    signed: bool = False

    def run(self, bench: Bench) -> list[Row]:
        """Deliver and measure."""
        rig, sink, topic = bench.rig, bench.sink, bench.topic(BACKLOG_TOPIC)
        count = bench.size_for(self.subscriptions, self.short_subscriptions)
        records = bench.backlog * count // self.reads
        with ExitStack() as exits:
            pipeline = exits.enter_context(rig.pipeline())
            before = sink.requests()
            at_start = pipeline.usage(rig.services)
            for number in range(count):
                url = sink.url(str(number), tls=self.tls)
                parts = {"batch": self.batch, "filters": self.filters, "signed": self.signed}
                exits.enter_context(rig.subscription(url, topic, **parts))
            arrived_in_time = wait_until(lambda: sink.requests() > before, START_TIMEOUT_S)
            require(arrived_in_time, f"{self.name}: no request came")
            if self.filters or bench.short:
                return [self._whole(bench, pipeline, (before, records), at_start)]
            return [self._steady(bench, pipeline, before, records // self.batch)]

    def _steady(self, bench: Bench, pipeline: Pipeline, before: int, total: int) -> Row:
        """Measure from the end of the warm-up until the time is up or little of the backlog is left."""
        sink, services = bench.sink, bench.rig.services
        time.sleep(self.warm_up_s)
        start, sent = pipeline.usage(services), sink.requests()
        last = before + int(total * LAST_SHARE)
        require(sent < last, f"{self.name}: the backlog ended before the warm-up; use more --records")
        until = start.at + bench.seconds
        wait_until(lambda: time.monotonic() >= until or sink.requests() >= last, bench.seconds + 1.0)
        requests = sink.requests() - sent
        return self._row(start, pipeline.usage(services), (requests, requests * self.batch * self.reads))

    def _whole(self, bench: Bench, pipeline: Pipeline, bounds: tuple[int, int], start: Usage) -> Row:
        """Measure the whole backlog: in a part of it, records that were read ahead would not be counted."""
        sink, (before, total) = bench.sink, bounds
        began = time.monotonic()
        arrived_all = wait_until(lambda: sink.records(self.batch) - before * self.batch >= total, RUN_TIMEOUT_S)
        require(arrived_all, f"{self.name}: {sink.records(self.batch) - before * self.batch} of {total} records came")
        sink.check(self.name, total, gaps=self.reads > 1)
        counts = (sink.requests() - before, total * self.reads)
        return replace(self._row(start, pipeline.usage(bench.rig.services), counts), elapsed_s=time.monotonic() - began)

    def _row(self, start: Usage, end: Usage, counts: tuple[int, int]) -> Row:
        return row_of(self.name, start, end, counts, (self.each, self.target))


def sparse(bench: Bench) -> list[Row]:
    """Many subscriptions with a topic of one partition each, and few records to each of them."""
    lanes, per_lane_s, rig, sink = bench.size_for(200, 8), 10, bench.rig, bench.sink
    topics = {bench.topic(f"sparse-{number}"): 1 for number in range(lanes)}
    create_topics(rig.kafka.address, topics)
    with rig.pipeline() as pipeline, ThreadPoolExecutor(8) as pool:
        before = sink.requests()
        ids = list(pool.map(lambda topic: rig.subscribe(sink.url(topic), topic), topics))
        try:
            with Trickle(rig.kafka.address, topics, lanes * per_lane_s, linger_ms=PRODUCER_LINGER_MS) as trickle:
                flowing = wait_until(lambda: sink.requests() - before >= 10 * lanes, START_TIMEOUT_S)
                require(flowing, f"sparse: {sink.requests() - before} of {10 * lanes} requests came")
                time.sleep(2 * bench.warm_up_s)
                start, sent = pipeline.usage(rig.services), sink.requests()
                time.sleep(bench.duration_s(15.0))
                end, requests = pipeline.usage(rig.services), sink.requests() - sent
                behind = trickle.produced - (sink.requests() - before)
            if bench.short:
                wait_until(lambda: sink.records(1) >= trickle.produced, SHORT_TIMEOUT_S)
                sink.check("sparse", trickle.produced, gaps=False)
        finally:
            list(pool.map(rig.unsubscribe, ids))
    row = row_of(f"{lanes} sparse lanes", start, end, (requests, requests), ("request", 3.0))
    return [
        replace(row, remark=f"{lanes} subscriptions × {per_lane_s} records/s; {behind} records in flight at the end")
    ]


def latency(bench: Bench) -> list[Row]:
    """The time from the producer's call to the receiver's socket, at a steady 500 records a second."""
    rig, topic, per_s = bench.rig, bench.topic("latency"), 500.0
    create_topics(rig.kafka.address, {topic: 4})
    with (
        rig.pipeline() as pipeline,
        rig.receiver() as receiver,
        rig.subscription(receiver.url, topic),
    ):
        with Trickle(rig.kafka.address, {topic: 4}, per_s) as trickle:
            enough = wait_until(lambda: receiver.report()["requests"] > per_s, START_TIMEOUT_S)
            require(enough, f"latency: {receiver.report()['requests']} requests came")
            time.sleep(2 * bench.warm_up_s)
            receiver.reset()
            start = pipeline.usage(rig.services)
            time.sleep(bench.duration_s(12.0))
            end, seen = pipeline.usage(rig.services), receiver.report()
        if bench.short:
            wait_until(lambda: arrived(receiver.report()) >= trickle.produced, SHORT_TIMEOUT_S)
            check_all("latency", receiver.report(), trickle.produced)
        check_order("latency", receiver.report())
    row = row_of("500 records/s", start, end, (seen["requests"], seen["records"]), ("request", 0.0))
    require(seen["timed"] > 0, "latency: no record said when it was produced")
    if bench.short:
        return [row]
    empty = round_trips_ms(rig.redis.address, LOGS / "empty-task.log")
    p50, p99 = seen["p50_ms"], seen["p99_ms"]
    missed = "!" * (p50 > 6.0 or p99 > 20.0)
    remark = (
        f"append to receiver p50 {p50:.1f} ms (≤ 6), p99 {p99:.1f} ms (≤ 20){missed}, max {seen['max_ms']:.0f} ms; "
        f"{order(seen)}; empty Celery task round trip p50 {empty[0]:.1f} ms, p99 {empty[1]:.1f} ms"
    )
    return [replace(row, remark=remark)]


def policy(bench: Bench) -> list[Row]:
    """The same backlog without and with a policy: its cost is a ratio of two rows of one run."""
    with bench.rig.policy(bench.topic(BACKLOG_TOPIC), condition=POLICY_CONDITION, projection=POLICY_PROJECTION):
        (governed,) = Backlog(name="100, policy", each="record", batch=100).run(bench)
    if bench.short:
        return [governed]
    (plain,) = Backlog(name="100, no policy", each="record", batch=100).run(bench)
    ratio = governed.ours_us / plain.ours_us
    remark = f"{ratio:.2f} times the CPU of a record without a policy (≤ {POLICY_RATIO:.0f})"
    fault = "" if ratio <= POLICY_RATIO else f"policy: {remark}"
    return [plain, replace(governed, remark=remark, fault=fault)]


def signed(bench: Bench) -> list[Row]:
    """The same backlogs without and with signatures: their cost is a ratio of two rows of one run."""
    if bench.short:
        return Backlog(name="batch 1, signed", signed=True).run(bench)
    return [row for batch, most in SIGNED_RATIOS.items() for row in _with_and_without_signatures(bench, batch, most)]


def _with_and_without_signatures(bench: Bench, batch: int, most: float) -> list[Row]:
    case = Backlog(name=f"batch {batch}, unsigned", each="request" if batch == 1 else "record", batch=batch)
    (plain,) = case.run(bench)
    (found,) = replace(case, name=f"batch {batch}, signed", signed=True).run(bench)
    ratio = found.ours_us / plain.ours_us
    remark = f"{ratio:.3f} times the CPU without a signature (≤ {most:.2f})"
    return [plain, replace(found, remark=remark, fault="" if ratio <= most else f"signed: {remark}")]
