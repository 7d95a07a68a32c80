"""The cases that deliver a backlog, measured in steady state or as a whole."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from webhookd_load_test.benchmarks.cases.bench_case import START_TIMEOUT_S, WARM_UP_S, Bench, require, row_of
from webhookd_load_test.benchmarks.cases.result_table import MEGABYTE, Row, marked
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.process_usage import Usage, wait_until

BACKLOG_TOPIC = "backlog"
BACKLOG_PARTITIONS = 4

BUFFERS_FILL_S = 10.0
"""With many lanes ingest reads ahead for this time, until reading and delivering are in balance."""

RUN_TIMEOUT_S = 120.0

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
    resident_target_mb: float | None = None
    """Of ingest and worker together, after the case."""

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
        row = row_of(self.name, start, end, counts, (self.each, self.target))
        if self.resident_target_mb is None:
            return row
        resident_mb = sum(row.resident_bytes.values()) / MEGABYTE
        said = f"ingest and worker have {resident_mb:.0f} MB resident"
        return replace(row, remark=marked(said, resident_mb, self.resident_target_mb))
