"""The rows of `fanout`. Oracles: the filters of the product on the records, and sums. Nothing is started or doubled."""

from collections import Counter

import pytest

from stack.kafka_counters import TopicBytes, topic_counters
from webhookd.flow.filters.matcher import Matcher
from webhookd_load_test.benchmarks.cases.bench_case import Bench, NginxSink
from webhookd_load_test.benchmarks.cases.fanout_case import PARTITIONS, Fanout
from webhookd_load_test.benchmarks.cases.fanout_window import Window, came_text, rate_text
from webhookd_load_test.benchmarks.cases.result_table import Row
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.kafka.benchmark_record import tenant_record
from webhookd_load_test.benchmarks.rig import pipeline
from webhookd_load_test.benchmarks.rig.pipeline import ingest_processes
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.process_usage import Usage

SUBSCRIPTIONS = 8
NOTHING = Usage(at=0.0, cpu_s={}, resident_bytes={}, pids={})


def fanout() -> Fanout:
    rig = Rig()
    bench = Bench(rig=rig, sink=NginxSink(rig), backlog=0, seconds=1.0)
    return Fanout(bench=bench, subscriptions=SUBSCRIPTIONS, per_s=200)


def row(cpu_us: float) -> Row:
    return Row(name="that row", elapsed_s=1.0, requests=1, records=1, each="record", cpu_s={"ingest": cpu_us / 1e6})


def window(broker: TopicBytes | None, ingests: int = 1) -> Window:
    none = ReceiverReport(received_ends={})
    return Window(start=NOTHING, end=NOTHING, before=none, seen=none, broker=broker, ingests=ingests)


@pytest.mark.parametrize("name", ["alone", "equality", "comparison"])
def test_each_record_is_for_one_subscription_and_each_joins_with_one(name: str) -> None:
    load = fanout().load(name)
    matchers = [Matcher(own) for own in load.filters]
    records = [tenant_record(number, SUBSCRIPTIONS, 1) for number in range(100)]
    assert {sum(matcher.matches(record) for matcher in matchers) for record in records} == {1}
    assert {sum(matcher.matches(record) for record in load.joining) for matcher in matchers} == {1}


def test_tenants_get_as_many_records_of_each_partition() -> None:
    places: Counter[tuple[bytes, int]] = Counter()
    for number in range(SUBSCRIPTIONS * PARTITIONS * 3):
        tenant = tenant_record(number, SUBSCRIPTIONS, 1).partition(b'"tenant":"')[2].partition(b'"')[0]
        places[tenant, number % PARTITIONS] += 1
    assert len(places) == SUBSCRIPTIONS * PARTITIONS
    assert set(places.values()) == {3}


def test_many_are_compared_with_one() -> None:
    case = fanout()
    assert case.compared("equality", row(30.0)) == row(30.0)
    case.alone = row(10.0)
    assert (
        case.compared("equality", row(20.0)).remark == "2.00 × the CPU of one subscription that gets them all (≤ 2)\n"
    )
    assert "2.10 × the CPU of one subscription that gets them all (≤ 2)!" in case.compared("equality", row(21.0)).remark
    each = case.compared("comparison", row(18.0)).line(100.0)
    assert each.endswith("a record and filter: 1.00 µs, 0.010 units (≤ 0.03)")
    assert case.compared("comparison", row(50.0)).line(100.0).endswith("5.00 µs, 0.050 units (≤ 0.03)!")
    assert case.compared("comparison", row(18.0)).line(None).endswith("a record and filter: 1.00 µs")


def test_what_did_not_come_once_and_in_order_is_marked() -> None:
    seen = ReceiverReport(records=1500, received_ends={})
    assert came_text(500, seen, 2000) == ("2,000 of 2,000 records came, 0 out of order, 0 duplicates", True)
    for records, duplicates, out_of_order in ((1499, 0, 0), (1500, 1, 0), (1500, 0, 1)):
        broken = ReceiverReport(records=records, duplicates=duplicates, out_of_order=out_of_order, received_ends={})
        text, whole = came_text(500, broken, 2000)
        assert (text[-1], whole) == ("!", False)


def test_rate_that_stays_behind_is_marked() -> None:
    assert (rate_text(1990.0, 2000), rate_text(1000.0, 2000)) == (
        "1,990 of 2,000 records/s",
        "1,000 of 2,000 records/s!",
    )


def test_bytes_out_are_compared_with_bytes_in() -> None:
    assert window(None).bytes_text() == "the broker serves no counters"
    once = window(TopicBytes(100, 120)).bytes_text()
    assert once == "the broker sent 1.20 × the bytes that it got (≤ 1.2), to 1 ingest process: 1.20 × to each"
    twice = window(TopicBytes(100, 200), 2).bytes_text()
    assert twice == "the broker sent 2.00 × the bytes that it got (≤ 1.2)!, to 2 ingest processes: 1.00 × to each"


def test_counters_are_read_from_what_the_tool_says() -> None:
    counter = "kafka.server:type=BrokerTopicMetrics,name={},topic=a.b:Count={}\n"
    said = "time=1\n" + counter.format("BytesInPerSec", 7) + counter.format("BytesOutPerSec", 9)
    assert topic_counters(said) == TopicBytes(7, 9)
    assert topic_counters("time=1\n") == TopicBytes(0, 0)


def test_as_many_ingest_processes_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "subscription_limit", lambda: 960)
    assert [ingest_processes(count) for count in (2, 960, 961, 1000, 1800)] == [1, 1, 2, 2, 3]
