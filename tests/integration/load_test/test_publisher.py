"""A CSV file that is published to a real Kafka. The clock is moved; oracle: a consumer that reads the topic."""

import logging
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, TopicPartition
from confluent_kafka.cimpl import NewTopic

from tests.harness.command_signals import signals_restored
from tests.harness.kafka_admin import admin_of
from webhookd_load_test.main import main
from webhookd_load_test.records import csv_writer, headroom
from webhookd_load_test.records.generate import Record
from webhookd_load_test.records.publish_summary import PublishProgress, PublishSummary
from webhookd_load_test.records.publisher import Publisher
from webhookd_load_test.records.topics import TopicsNotCreatedError, create_topics

PATIENCE_S = 30.0
HOUR_MS = 3_600_000
PARTITIONS = 4
MURMUR2 = {"21": -973932308, "foobar": -790332482, "a-little-bit-longer-string": -1486304829, "abc": 479470107}
"""The hashes of keys in the test of Kafka's Java client, which divides them, without their sign, by the partitions."""


class Clock:
    """The clock of the schedule, which only the test moves."""

    def __init__(self) -> None:
        self.now_ns = self.began_ns = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def move_to(self, after_ms: int) -> None:
        self.now_ns = self.began_ns + after_ms * 1_000_000


class Shown:
    """The progress that a publisher reports, for a test that waits for it."""

    def __init__(self) -> None:
        self._reports: list[PublishProgress] = []
        self._changed = threading.Condition()

    def __call__(self, progress: PublishProgress) -> None:
        with self._changed:
            self._reports.append(progress)
            self._changed.notify_all()

    def wait_for(self, acknowledged: int) -> None:
        """Wait for two reports with this number from now on: it is reached and not passed."""
        with self._changed:
            seen = len(self._reports)

            def steady() -> bool:
                return [one.acknowledged for one in self._reports[seen:]][-2:] == [acknowledged] * 2

            assert self._changed.wait_for(steady, PATIENCE_S), self._reports[-3:]


class Arrived(NamedTuple):
    """A record of the topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    number: bytes


@pytest.fixture
def kafka(kafka_bootstrap: str) -> dict[str, str]:
    # A topic that does not exist is reported after a second, not after 30.
    return {"bootstrap.servers": kafka_bootstrap, "topic.metadata.propagation.max.ms": "1000"}


@pytest.fixture
def topic(kafka: dict[str, str]) -> str:
    name = f"load-{uuid.uuid4().hex}"
    assert create_topics(kafka, {name: PARTITIONS}, 1) == [name]
    return name


@contextmanager
def running(publisher: Publisher, stopping: threading.Event) -> Iterator[Future[PublishSummary]]:
    with ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(publisher.run, stopping)
        finally:
            stopping.set()


def publisher_of(folder: Path, records: list[Record], kafka: dict[str, str], **more: Any) -> Publisher:  # noqa: ANN401
    csv_writer.write(folder / "records.csv", records)
    return Publisher(csv=folder / "records.csv", published=folder / "published.sqlite", kafka=kafka, **more)


def consumed(kafka: dict[str, str], topic: str, count: int) -> list[Message]:
    """The first records of the topic; AssertionError when there are fewer or more."""
    config = {"bootstrap.servers": kafka["bootstrap.servers"], "group.id": "load-test", "enable.partition.eof": True}
    consumer = Consumer(config | {"auto.offset.reset": "earliest"}, logger=logging.getLogger("librdkafka"))
    partitions = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[Message] = []
    ends = 0
    while ends < len(partitions):
        message = consumer.poll(PATIENCE_S)
        assert message is not None, f"{len(found)} of {count}"
        if message.error() is None:
            found.append(message)
        else:
            ends += 1
    consumer.close()
    assert len(found) == count
    return found


def arrived(message: Message) -> Arrived:
    ((name, number),) = list(message.headers() or [])
    assert name == "load-test-record"
    assert isinstance(number, bytes)
    key, value = message.key(), message.value()
    assert key is None or isinstance(key, bytes)
    assert value is None or isinstance(value, bytes)
    return Arrived(message.partition() or 0, message.offset() or 0, key, value, number)


def kept(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "published.sqlite")) as connection:
        return connection.execute("SELECT * FROM published ORDER BY number").fetchall()


def records_of(topic: str, *times_ms: int) -> list[Record]:
    return [Record(topic, b'{"n":%d}' % number, "21", time_ms) for number, time_ms in enumerate(times_ms)]


def test_rows_are_published_at_their_times(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    clock, shown = Clock(), Shown()
    records = records_of(topic, 0, 0, HOUR_MS)
    publisher = publisher_of(tmp_path, records, kafka, now_ns=clock, on_progress=shown, speed=2.0)
    with running(publisher, threading.Event()) as run:
        shown.wait_for(2)
        clock.move_to(HOUR_MS // 2 - 1)
        shown.wait_for(2)
        assert publisher.acknowledged == 2
        clock.move_to(HOUR_MS // 2 + 7)
        summary = run.result(PATIENCE_S)
    assert (summary.published, summary.sent, summary.unanswered, summary.complete) == (3, 3, 0, True)
    assert summary.late_max_ms == pytest.approx(7)
    due_ns = clock.began_ns + HOUR_MS // 2 * 1_000_000
    assert [row[5:7] for row in kept(tmp_path)] == [(clock.began_ns, clock.began_ns)] * 2 + [(due_ns, clock.now_ns)]


def test_what_is_kept_is_what_the_topic_has(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    records = [Record(topic, b'{"n":%d}' % number, f"key-{number}", 0) for number in range(40)]
    records += [Record(topic, b"", None, 0)]
    summary = publisher_of(tmp_path, records, kafka).run(threading.Event())
    assert summary.complete
    found = {int(one.number): one for one in map(arrived, consumed(kafka, topic, len(records)))}
    keys = [record.key for record in records]
    assert [(key, value) for _, _, key, value, _ in (found[number] for number in range(len(records)))] == [
        (key.encode() if key else None, record.payload) for key, record in zip(keys, records, strict=True)
    ]
    assert [(row[0], row[1], row[2], row[3], row[4]) for row in kept(tmp_path)] == [
        (number, topic, found[number].partition, found[number].offset, key) for number, key in enumerate(keys)
    ]


def test_keys_have_the_partitions_of_java_clients(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    publisher_of(tmp_path, [Record(topic, b"{}", key, 0) for key in MURMUR2], kafka).run(threading.Event())
    assert {row[4]: row[2] for row in kept(tmp_path)} == {
        key: (code & 0x7FFFFFFF) % PARTITIONS for key, code in MURMUR2.items()
    }


def test_stopped_run_goes_on_without_repetition(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    clock, shown, stopping = Clock(), Shown(), threading.Event()
    records = records_of(topic, 0, 0, 0, HOUR_MS, HOUR_MS)
    publisher = publisher_of(tmp_path, records, kafka, now_ns=clock, on_progress=shown)
    with running(publisher, stopping) as run:
        shown.wait_for(3)
        stopping.set()
        stopped = run.result(PATIENCE_S)
    assert (stopped.published, stopped.unanswered, stopped.complete) == (3, 0, False)
    again = publisher_of(tmp_path, records, kafka, now_ns=clock)
    resumed = again.run(threading.Event())
    assert (resumed.before, resumed.published, resumed.complete, again.acknowledged) == (3, 2, True, 5)
    assert sorted(int(arrived(message).number) for message in consumed(kafka, topic, 5)) == [0, 1, 2, 3, 4]
    assert [row[0] for row in kept(tmp_path)] == [0, 1, 2, 3, 4]


def test_stop_ends_a_run_whose_brokers_do_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhookd_load_test.records.publish_run.STOPPING_S", 0.2)
    shown, stopping = Shown(), threading.Event()
    nobody = {"bootstrap.servers": "127.0.0.1:1"}
    with running(publisher_of(tmp_path, records_of("orders", 0, 0), nobody, on_progress=shown), stopping) as run:
        shown.wait_for(0)
        stopping.set()
        summary = run.result(PATIENCE_S)
    assert (summary.published, summary.sent, summary.unanswered) == (0, 2, 2)
    assert kept(tmp_path) == []


def test_refused_records_are_named_and_the_others_published(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    records = records_of(topic, 0, 0, 0, 0)
    records[1] = records[1]._replace(payload=b"x" * 2_000_000)
    records[2] = records[2]._replace(topic=f"{topic}-missing")
    summary = publisher_of(tmp_path, records, kafka).run(threading.Event())
    assert (summary.published, summary.refused, summary.complete) == (2, 2, False)
    assert sorted((refusal.line, refusal.topic, refusal.reason) for refusal in summary.refusals) == [
        (3, topic, "Broker: Message size too large"),
        (4, f"{topic}-missing", "Broker: Unknown topic or partition"),
    ]
    assert sorted(int(arrived(message).number) for message in consumed(kafka, topic, 2)) == [0, 3]


def test_record_is_not_refused_for_its_batch(tmp_path: Path, kafka: dict[str, str]) -> None:
    topic = f"load-{uuid.uuid4().hex}"
    small = NewTopic(topic, num_partitions=1, config={"max.message.bytes": "500"})
    admin_of(kafka["bootstrap.servers"]).create_topics([small])[topic].result(PATIENCE_S)
    records = [Record(topic, b"x" * 200, "k", 0) for _ in range(50)]
    summary = publisher_of(tmp_path, records, {**kafka, "linger.ms": "200"}).run(threading.Event())
    assert (summary.published, summary.refused) == (50, 0)
    found = {int(one.number): one.offset for one in map(arrived, consumed(kafka, topic, 50))}
    assert [row[3] for row in kept(tmp_path)] == [found[number] for number in range(50)]


def test_created_topic_has_the_time_of_the_append(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    publisher_of(tmp_path, records_of(topic, 0), kafka).run(threading.Event())
    (message,) = consumed(kafka, topic, 1)
    assert message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME


def test_topic_that_is_there_is_left_alone(kafka: dict[str, str], topic: str) -> None:
    assert create_topics(kafka, dict.fromkeys([topic, f"{topic}-2"], PARTITIONS + 1), 1) == [f"{topic}-2"]
    known = admin_of(kafka["bootstrap.servers"]).list_topics(timeout=PATIENCE_S).topics
    assert [len(known[name].partitions) for name in (topic, f"{topic}-2")] == [PARTITIONS, PARTITIONS + 1]


def test_topic_that_cannot_be_created_is_named(kafka: dict[str, str]) -> None:
    with pytest.raises(TopicsNotCreatedError, match=r"topic orders was not created: .*[Rr]eplication factor"):
        create_topics(kafka, {"orders": 1}, 99)


def test_headroom_is_a_rate_of_acknowledged_records(
    kafka: dict[str, str], topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "ROWS", 500)
    assert headroom.measure(kafka, topic, 200) > 0
    assert len(consumed(kafka, topic, 500)) == 500


def test_headroom_without_an_acknowledged_record_is_not_measured(
    kafka: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "ROWS", 5)
    with pytest.raises(headroom.NotMeasuredError, match="cannot be measured: Broker: Unknown topic or partition"):
        headroom.measure(kafka, f"load-{uuid.uuid4().hex}", 200)


def test_command_with_a_refused_row_ends_with_its_line(tmp_path: Path, kafka: dict[str, str], topic: str) -> None:
    file = tmp_path / "records.csv"
    csv_writer.write(file, [*records_of(topic, 0, 0), Record(f"{topic}-missing", b"{}", None, 0)])
    options = [f"--kafka-config={name}={value}" for name, value in kafka.items() if name != "bootstrap.servers"]
    with signals_restored():
        ended = CliRunner().invoke(
            main, ["csv-publish", f"--csv={file}", f"--bootstrap-servers={kafka['bootstrap.servers']}", *options]
        )
    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[0] == f"published 2 rows of {file}"
    assert f"{file}, line 4: not published to {topic}-missing: Broker: Unknown topic or partition" in ended.stdout
