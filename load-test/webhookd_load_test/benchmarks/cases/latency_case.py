"""The case that measures the time from the producer's call to the receiver's socket, at a low and at a middle rate."""

import time
from dataclasses import dataclass, replace

from webhookd_load_test.benchmarks.cases.bench_case import (
    SHORT_TIMEOUT_S,
    START_TIMEOUT_S,
    Bench,
    check_all,
    check_order,
    order,
    require,
    row_of,
)
from webhookd_load_test.benchmarks.cases.empty_task import round_trips_ms
from webhookd_load_test.benchmarks.cases.result_table import Row, marked
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.process_usage import wait_until

PARTITIONS = 4
TARGETS = {500: 8.0, 100: 25.0}
"""Units a request, by records a second."""

P50_RATIO, P99_RATIO = 0.7, 1.5
"""Of an empty Celery task there and back in the same run: its median and its 99th percentile."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A row, and the receiver's report with the latencies."""

    row: Row
    seen: ReceiverReport

    def compared(self, empty_ms: tuple[float, float]) -> Row:
        """The row with the latencies as a remark, beside the median and 99th percentile of an empty Celery task."""
        p50, p99 = self.seen.p50_ms / empty_ms[0], self.seen.p99_ms / empty_ms[1]
        ratios = (marked(f"p50 {p50:.2f} ×", p50, P50_RATIO), marked(f"p99 {p99:.2f} ×", p99, P99_RATIO))
        remark = (
            f"append to receiver p50 {self.seen.p50_ms:.1f} ms, p99 {self.seen.p99_ms:.1f} ms, "
            f"max {self.seen.max_ms:.0f} ms; {order(self.seen)}; {', '.join(ratios)} that of an empty Celery task "
            f"there and back (p50 {empty_ms[0]:.1f} ms, p99 {empty_ms[1]:.1f} ms)"
        )
        return replace(self.row, remark=remark)


def latency(bench: Bench) -> list[Row]:
    """The time from the producer's call to the receiver's socket, at a steady rate."""
    if bench.short:
        return [_steady(bench, 500).row]
    measured = [_steady(bench, per_s) for per_s in TARGETS]
    empty_ms = round_trips_ms(bench.rig.redis.address, LOGS / "empty-task.log")
    return [one.compared(empty_ms) for one in measured]


def _steady(bench: Bench, per_s: int) -> Measured:
    rig, topic = bench.rig, bench.topic(f"latency-{per_s}")
    rig.create_topics({topic: PARTITIONS})
    with (
        rig.pipeline() as pipeline,
        rig.receiver() as receiver,
        rig.subscription(receiver.url, topic),
    ):
        with Trickle(rig.kafka.address, {topic: PARTITIONS}, per_s) as trickle:
            enough = wait_until(lambda: receiver.report().requests > per_s, START_TIMEOUT_S)
            require(enough, f"latency: {receiver.report().requests} requests came")
            time.sleep(2 * bench.warm_up_s)
            receiver.reset()
            start = pipeline.usage(rig.services)
            time.sleep(bench.duration_s(12.0))
            end, seen = pipeline.usage(rig.services), receiver.report()
        if bench.short:
            wait_until(lambda: receiver.report().arrived >= trickle.produced, SHORT_TIMEOUT_S)
            check_all("latency", receiver.report(), trickle.produced)
        check_order("latency", receiver.report())
    row = row_of(f"{per_s} records/s", start, end, (seen.requests, seen.records), ("request", TARGETS[per_s]))
    require(seen.timed > 0, "latency: no record said when it was produced")
    return Measured(row, seen)
