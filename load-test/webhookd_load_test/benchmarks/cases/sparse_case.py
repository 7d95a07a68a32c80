"""The case of many subscriptions with few records each."""

import time
from dataclasses import replace

from webhookd_load_test.benchmarks.cases.bench_case import SHORT_TIMEOUT_S, START_TIMEOUT_S, Bench, require, row_of
from webhookd_load_test.benchmarks.cases.result_table import Cost, Row
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.process_usage import wait_until

PRODUCER_LINGER_MS = 5.0
"""The default of Kafka's own producer; without it a sparse trickle costs the broker a core."""

TARGET, BROKER_TARGET = 3.0, 2.0
"""Units a request: of ingest and worker, and of the broker."""


def sparse(bench: Bench) -> list[Row]:
    """Many subscriptions with a topic of one partition each, and few records to each of them."""
    lanes, per_lane_s, rig, sink = bench.size_for(200, 8), 10, bench.rig, bench.sink
    topics = {bench.topic(f"sparse-{number}"): 1 for number in range(lanes)}
    rig.create_topics(topics)
    with rig.pipeline() as pipeline:
        before = sink.requests()
        ids = rig.subscribe_all((sink.url(topic), topic, {}) for topic in topics)
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
            rig.unsubscribe_all(ids)
    row = row_of(f"{lanes} sparse lanes", start, end, (requests, requests), ("request", TARGET))
    remark = f"{lanes} subscriptions × {per_lane_s} records/s; {behind} records in flight at the end"
    return [replace(row, costs=[Cost("the broker a request:", row.us("kafka"), BROKER_TARGET)], remark=remark)]
