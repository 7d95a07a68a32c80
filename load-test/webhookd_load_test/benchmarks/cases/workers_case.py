"""The case that checks that threads are busy while work waits: one subscription, 1 to 4 workers, a slow endpoint."""

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
from webhookd_load_test.benchmarks.cases.result_table import Row
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.process_usage import wait_until

THREADS, DELAY_S = 16, 0.2
LANES, SHORT_LANES, SHORT_EACH = 96, 8, 10

LANES_FLOW_S = 180.0
"""Timeout until every lane has delivered; before that ingest looks up start positions and lanes deliver one by one."""

LEAST_SHARE = 0.8
"""With a smaller share of busy threads the case fails. One in 16 is reserved
(webhookd/flow/dispatch/concurrency_limit.py), and between two deliveries of a lane there are a report and a task.
Checked with one worker only, which needs less than half a core: the share is the same on every machine as long as its
cores are not the limit."""

TARGET = 0.95
"""Of linear, and of all threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Some worker processes of 16 threads deliver one subscription to an endpoint that takes 200 ms."""

    name: str

    def run(self, bench: Bench) -> list[Row]:
        """Deliver and measure. Raises CaseFailedError when too many threads are idle."""
        topic, lanes = bench.topic("slow"), bench.size_for(LANES, SHORT_LANES)
        counts = (1, 2) if bench.short else (1, 2, 4)
        most = counts[-1] * THREADS / DELAY_S * (bench.seconds + LANES_FLOW_S)
        records = lanes * bench.size_for(int(most / lanes), SHORT_EACH)
        bench.rig.create_topics({topic: lanes})
        backlog(bench.rig.kafka.address, topic, lanes, records)
        rows: list[Row] = []
        for count in counts:
            with bench.rig.receiver(DELAY_S) as receiver:
                rows.append(self._row(bench, receiver, (topic, lanes, count)))
                if bench.short:
                    check_all(self.name, receiver.report(), records)
        return rows if bench.short else self.compared(rows, counts)

    def _row(self, bench: Bench, receiver: CheckingReceiver, load: tuple[str, int, int]) -> Row:
        topic, lanes, count = load
        with bench.rig.pipeline(count, THREADS) as pipeline, bench.rig.subscription(receiver.url, topic):
            arrived_in_time = wait_until(lambda: receiver.report().requests > 0, START_TIMEOUT_S)
            require(arrived_in_time, f"{self.name}: no request came")
            before, start = receiver.report(), pipeline.usage(bench.rig.services)
            if bench.short:
                wait_until(lambda: receiver.report().arrived >= lanes * SHORT_EACH, SHORT_TIMEOUT_S)
            else:
                self._wait_for_all_lanes(receiver, lanes)
                time.sleep(2 * bench.warm_up_s)
                before, start = receiver.report(), pipeline.usage(bench.rig.services)
                time.sleep(bench.seconds)
            end, seen = pipeline.usage(bench.rig.services), receiver.report()
        check_order(self.name, seen)
        counted = (seen.requests - before.requests, seen.records - before.records)
        row = row_of(f"{count} workers, 200 ms", start, end, counted, ("request", 0.0))
        return replace(row, remark=order(seen))

    def _wait_for_all_lanes(self, receiver: CheckingReceiver, lanes: int) -> None:
        def flowing() -> int:
            return len(receiver.report().received_ends)

        require(wait_until(lambda: flowing() >= lanes, LANES_FLOW_S), f"{self.name}: {flowing()} of {lanes} lanes flow")

    def compared(self, rows: list[Row], counts: tuple[int, ...]) -> list[Row]:
        """The rows with their shares as remarks; the first row has the fault when its share is too small."""
        rates = [row.requests / row.elapsed_s for row in rows]
        shares = [rate * DELAY_S / (count * THREADS) for rate, count in zip(rates, counts, strict=True)]
        linear = [rate / count / rates[0] for rate, count in zip(rates, counts, strict=True)]
        said = [
            f"{share:.2f} of all threads (≥ {TARGET}){'!' * (share < TARGET)}, "
            f"{part:.2f} of linear (≥ {TARGET}){'!' * (part < TARGET)}; {row.remark}"
            for share, part, row in zip(shares, linear, rows, strict=True)
        ]
        fault = f"{self.name}: {shares[0]:.2f} of all threads worked, the others were idle"
        faults = [fault if shares[0] < LEAST_SHARE else "", *[""] * (len(rows) - 1)]
        return [replace(row, remark=remark, fault=fault) for row, remark, fault in zip(rows, said, faults, strict=True)]
