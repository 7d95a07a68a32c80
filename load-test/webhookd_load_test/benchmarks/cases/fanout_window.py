"""The measuring time of a row of `fanout`: what is used, what arrives, and what the broker sends."""

import time
from dataclasses import dataclass, replace

from stack.kafka_counters import TopicBytes
from webhookd_load_test.benchmarks.cases.bench_case import Bench, row_of
from webhookd_load_test.benchmarks.cases.result_table import Row, marked
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.process_usage import Usage

FLOW_S = 5.0
"""How long records flow before the measuring time."""

LEAST_RATE = 0.95
"""Of the records a second that are produced: with fewer the costs are those of a service that stays behind."""

BYTES_RATIO = 1.2
"""The broker sends at most so many times the bytes that it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A measuring time. `before` is what had arrived at its start, `seen` what arrived in it."""

    start: Usage
    end: Usage
    before: ReceiverReport
    seen: ReceiverReport
    broker: TopicBytes | None
    """The topic's bytes in it; None when the broker serves no counters."""
    ingests: int

    def arrived(self, receiver: CheckingReceiver) -> int:
        """The records that have arrived up to now, from the first one on."""
        return self.before.records + receiver.report().records

    def row(self, name: str, wanted: int, receiver: CheckingReceiver) -> Row:
        """The row. It has a fault unless all wanted records have arrived up to now, once and in order."""
        row = row_of(name, self.start, self.end, (self.seen.requests, self.seen.records), ("record", 0.0))
        came, whole = came_text(self.before.records, receiver.report(), wanted)
        latency = f"append to receiver p50 {self.seen.p50_ms:.1f} ms, p99 {self.seen.p99_ms:.1f} ms"
        remark = f"{came}; {latency}\n{self.bytes_text()}"
        return replace(row, remark=remark, fault="" if whole else f"{name}: {came}")

    def bytes_text(self) -> str:
        """What the broker sent, compared with what it got."""
        if self.broker is None:
            return "the broker serves no counters"
        ratio = self.broker.out / max(1, self.broker.into)
        said = marked(f"the broker sent {ratio:.2f} × the bytes that it got", ratio, BYTES_RATIO)
        processes = f"{self.ingests} ingest process{'es' * (self.ingests > 1)}"
        return f"{said}, to {processes}: {ratio / self.ingests:.2f} × to each"


def watched(bench: Bench, pipeline: Pipeline, receiver: CheckingReceiver, topic: str) -> Window:
    """Wait for the end of the measuring time, while records flow."""
    rig = bench.rig
    time.sleep(0.0 if bench.short else FLOW_S)
    bytes_before, before = rig.topic_bytes(topic), receiver.reset()
    start = pipeline.usage(rig.services)
    time.sleep(bench.seconds)
    end, seen = pipeline.usage(rig.services), receiver.report()
    bytes_after = rig.topic_bytes(topic)
    return Window(
        start=start,
        end=end,
        before=before,
        seen=seen,
        broker=bytes_after.since(bytes_before) if bytes_before and bytes_after else None,
        ingests=pipeline.ingests,
    )


def rate_text(per_s: float, offered_per_s: float) -> str:
    """Say how many records a second arrived of those that were produced; a `!` marks that they stay behind."""
    late = "!" * (per_s < LEAST_RATE * offered_per_s)
    return f"{per_s:,.0f} of {offered_per_s:,.0f} records/s{late}"


def came_text(before: int, seen: ReceiverReport, wanted: int) -> tuple[str, bool]:
    """Say how many of the wanted records came, with `before` that are not in the report; and whether that is well."""
    came = before + seen.records
    whole = came == wanted and not seen.duplicates and not seen.out_of_order
    counts = f"{came:,} of {wanted:,} records came, {seen.out_of_order} out of order, {seen.duplicates} duplicates"
    return f"{counts}{'!' * (not whole)}", whole
