"""The case that measures how soon a new subscription gets its first record, with each group protocol."""

import time
from dataclasses import replace
from statistics import median

from webhookd_load_test.benchmarks.cases.bench_case import START_TIMEOUT_S, Bench, check_order, require, row_of
from webhookd_load_test.benchmarks.cases.result_table import Row, marked
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.process_usage import wait_until

PROTOCOLS = ("classic", "consumer")
STARTS = ("earliest", "latest")
"""The record is there before the subscription, or produced as soon as the subscription is registered."""

TARGET_S = 1.0
TRIALS, SHORT_TRIALS = 10, 1
PARTITIONS = 4
ASK_INTERVAL_S = 0.005
SETTING = "WEBHOOKD_KAFKA_GROUP_PROTOCOL"


def first_delivery(bench: Bench) -> list[Row]:
    """The time from a subscription's registration to its first delivery; one subscription at a time."""
    if bench.short:
        return [_first(bench, "", STARTS[0])]
    return [_first(bench, protocol, start) for protocol in PROTOCOLS for start in STARTS]


def _first(bench: Bench, protocol: str, start: str) -> Row:
    """One row; without a protocol the rig's own is used."""
    rig, trials = bench.rig, bench.size_for(TRIALS, SHORT_TRIALS)
    topics = [bench.topic(f"first-{protocol}-{start}-{number}") for number in range(trials + 1)]
    rig.create_topics(dict.fromkeys(topics, PARTITIONS))
    with rig.settings({SETTING: protocol} if protocol else {}), rig.pipeline() as pipeline, rig.receiver() as receiver:
        _first_delivery_s(bench, receiver, topics[0], start)  # ingest and the worker have started
        before, sent = pipeline.usage(rig.services), receiver.report()
        taken_s = [_first_delivery_s(bench, receiver, topic, start) for topic in topics[1:]]
        after, seen = pipeline.usage(rig.services), receiver.report()
    check_order("first-delivery", seen)
    counts = (seen.requests - sent.requests, seen.records - sent.records)
    row = row_of(f"first, {protocol} {start}".replace(",  ", ", "), before, after, counts, ("request", 0.0))
    middle, latest = median(taken_s), max(taken_s)
    said = f"first delivery after {middle:.2f} s (median of {trials}), {latest:.2f} s at the latest"
    return replace(row, remark=marked(said, latest, TARGET_S))


def _first_delivery_s(bench: Bench, receiver: CheckingReceiver, topic: str, start: str) -> float:
    rig, before = bench.rig, receiver.report().requests
    if start == "earliest":
        backlog(rig.kafka.address, topic, PARTITIONS, 1)
    began = time.monotonic()
    with rig.subscription(receiver.url + topic, topic, start=start):
        if start == "latest":
            backlog(rig.kafka.address, topic, PARTITIONS, 1)
        arrived = wait_until(lambda: receiver.report().requests > before, START_TIMEOUT_S, interval_s=ASK_INTERVAL_S)
        taken_s = time.monotonic() - began
    require(arrived, f"first-delivery: nothing came from {topic} ({start})")
    return taken_s
