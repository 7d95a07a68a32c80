"""The case that measures the time from the producer's call to the receiver's socket."""

import time
from dataclasses import replace

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
from webhookd_load_test.benchmarks.cases.result_table import Row
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.process_usage import wait_until


def latency(bench: Bench) -> list[Row]:
    """The time from the producer's call to the receiver's socket, at a steady 500 records a second."""
    rig, topic, per_s = bench.rig, bench.topic("latency"), 500.0
    rig.create_topics({topic: 4})
    with (
        rig.pipeline() as pipeline,
        rig.receiver() as receiver,
        rig.subscription(receiver.url, topic),
    ):
        with Trickle(rig.kafka.address, {topic: 4}, per_s) as trickle:
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
    row = row_of("500 records/s", start, end, (seen.requests, seen.records), ("request", 0.0))
    require(seen.timed > 0, "latency: no record said when it was produced")
    if bench.short:
        return [row]
    empty = round_trips_ms(rig.redis.address, LOGS / "empty-task.log")
    p50, p99 = seen.p50_ms, seen.p99_ms
    missed = "!" * (p50 > 6.0 or p99 > 20.0)
    remark = (
        f"append to receiver p50 {p50:.1f} ms (≤ 6), p99 {p99:.1f} ms (≤ 20){missed}, max {seen.max_ms:.0f} ms; "
        f"{order(seen)}; empty Celery task round trip p50 {empty[0]:.1f} ms, p99 {empty[1]:.1f} ms"
    )
    return [replace(row, remark=remark)]
