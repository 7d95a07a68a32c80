"""The rows of `fanout`: one subscription that gets all records of a topic, and many that get one record in so many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from webhookd_load_test.benchmarks.cases.bench_case import SHORT_TIMEOUT_S, Bench, require
from webhookd_load_test.benchmarks.cases.fanout_window import rate_text, watched
from webhookd_load_test.benchmarks.cases.result_table import Cost, Row, marked
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.kafka.benchmark_record import tenant_record
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline, ingest_processes
from webhookd_load_test.process_usage import wait_until

ROWS = ("alone", "equality", "comparison")
PARTITIONS = 4
AMOUNT = 1
"""Of each record: `amount > n` holds for it with 0 only, among the whole numbers from 0."""

JOIN_TIMEOUT_S = 900.0
DRAIN_S = 60.0
"""How long records that have not arrived are waited for after the measurement; more than this is a fault."""

ASK_INTERVAL_S = 0.5
"""A report of thousands of lanes costs the receiver some milliseconds."""

CPU_RATIO = 2.0
"""Many subscriptions with an equality each cost at most so many times the CPU of one that gets all records."""

FILTER_UNITS = 0.03
"""Units of a record and filter that no index helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Subscriptions on one topic, by their filters; the records of `joining` in it are one for each of them."""

    name: str
    filters: Sequence[Sequence[str]]
    joining: Sequence[bytes]


@dataclass(slots=True, kw_only=True)
class Fanout:
    """Measures the rows; those of many subscriptions are compared with that of one if it was measured before."""

    bench: Bench
    subscriptions: int
    per_s: int
    alone: Row | None = field(default=None, init=False)

    @property
    def ingests(self) -> int:
        """How many ingest processes run."""
        return ingest_processes(self.subscriptions)

    def rows(self, names: Sequence[str]) -> Mapping[str, Callable[[], list[Row]]]:
        """The measurements of the rows by their names."""
        return {name: partial(self._measured, name) for name in names}

    def load(self, name: str) -> Load:
        """The subscriptions of a row."""
        count = self.subscriptions
        if name == "alone":
            return Load(name="1, no filter", filters=[()], joining=[self._record(0)])
        if name == "equality":
            filters = [(f"tenant == '{number}'",) for number in range(count)]
            return Load(name=f"{count} × equality", filters=filters, joining=[*map(self._record, range(count))])
        filters = [(f"amount > `{number}`",) for number in range(count)]
        return Load(name=f"{count} × comparison", filters=filters, joining=[tenant_record(0, count, count)])

    def _record(self, number: int, sent_ns: int = 0) -> bytes:
        return tenant_record(number, self.subscriptions, AMOUNT, sent_ns)

    def _measured(self, name: str) -> list[Row]:
        load = self.load(name)
        with self.bench.rig.receiver() as receiver:
            row = self._row(name, load, receiver)
        if name == "alone":
            self.alone = row
        return [row if name == "alone" else self.compared(name, row)]

    def _row(self, name: str, load: Load, receiver: CheckingReceiver) -> Row:
        rig, topic = self.bench.rig, self.bench.topic(f"fanout-{name}")
        rig.create_topics({topic: PARTITIONS})
        backlog(rig.kafka.address, topic, 1, len(load.joining), load.joining.__getitem__)
        with self._joined(load, topic, receiver) as pipeline:
            with Trickle(rig.kafka.address, {topic: PARTITIONS}, self.per_s, value_of=self._record) as trickle:
                window = watched(self.bench, pipeline, receiver, topic)
            wanted = len(load.filters) + trickle.produced
            wait_until(lambda: window.arrived(receiver) >= wanted, self._drain_s, interval_s=ASK_INTERVAL_S)
            row = window.row(load.name, wanted, receiver)
        return replace(row, remark=f"{rate_text(row.records / row.elapsed_s, self.per_s)}; {row.remark}")

    @property
    def _drain_s(self) -> float:
        return SHORT_TIMEOUT_S if self.bench.short else DRAIN_S

    @contextmanager
    def _joined(self, load: Load, topic: str, receiver: CheckingReceiver) -> Iterator[Pipeline]:
        """The subscriptions, each of which has delivered one record. They are deleted when the pipeline has ended."""
        rig, count, ids = self.bench.rig, len(load.filters), list[str]()
        wanted = [(f"{receiver.url}{number}", topic, {"filters": own}) for number, own in enumerate(load.filters)]

        def joined() -> int:
            return len(receiver.report().received_ends)

        try:
            with rig.pipeline(ingests=ingest_processes(count)) as pipeline:
                ids += rig.subscribe_all(wanted)
                all_joined = wait_until(lambda: joined() >= count, JOIN_TIMEOUT_S, interval_s=ASK_INTERVAL_S)
                require(all_joined, f"{load.name}: {joined()} of {count} subscriptions delivered their first record")
                yield pipeline
        finally:
            rig.unsubscribe_all(ids)

    def compared(self, name: str, row: Row) -> Row:
        """The row with what it costs compared with one subscription that gets the same records."""
        if self.alone is None:
            return row
        ratio = row.ours_us / self.alone.ours_us
        if name == "equality":
            said = marked(f"{ratio:.2f} × the CPU of one subscription that gets them all", ratio, CPU_RATIO)
            return replace(row, remark=f"{said}\n{row.remark}")
        each_us = (row.ours_us - self.alone.ours_us) / self.subscriptions
        return replace(row, costs=[Cost("a record and filter:", each_us, FILTER_UNITS)])
