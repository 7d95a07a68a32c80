"""Builds the folder of a run with the real schemas, as if webhookd had delivered everything at once and in order."""

import csv
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jmespath

from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder import published, received
from webhookd_load_test.run_folder.facts import RunFacts, RunSubscription
from webhookd_load_test.run_folder.paths import RunFolder

BEGAN_NS = 1_764_000_000_000_000_000
MS = 1_000_000


class Sent(NamedTuple):
    """A record of the file, and what Kafka said of it: `acknowledged` False when nothing, `offset` None for not known.

    It was appended and acknowledged `at_ms` after the begin of the run.
    """

    topic: str
    payload: bytes
    key: str | None
    partition: int
    offset: int | None
    at_ms: int
    acknowledged: bool = True


class Got(NamedTuple):
    """A delivered record: its request's path, time and status, and the record itself."""

    at_ms: int
    path: str
    number: int | None
    topic: str
    partition: int
    offset: int
    appended_ms: int
    key: bytes
    value: bytes | None
    status: int = 200
    signature: str = "valid"


@dataclass
class Run:
    """A run to write. Each delivery is a request of its own, with `batched` those of one time and path together."""

    subscriptions: list[RunSubscription]
    sent: list[Sent]
    got: list[Got] = field(default_factory=list)
    processes: int = 1
    batched: bool = False

    def deliver_all(self, after_ms: int = 7) -> None:
        """Add all deliveries that are due, each some milliseconds after its append."""
        self.got = [
            got(number, one, subscription.path, one.at_ms + after_ms)
            for number, one in enumerate(self.sent)
            for subscription in self.subscriptions
            if one.acknowledged and wants(subscription, one)
        ]

    def write(self, path: Path) -> RunFolder:
        """Write all files of the folder."""
        path.mkdir(exist_ok=True)
        folder = RunFolder(path)
        with folder.records.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["topic", "payload", "key", "publish_offset_ms"])
            writer.writerows([one.topic, one.payload.decode(), one.key or "", one.at_ms] for one in self.sent)
        write_rows(folder.published, published.SCHEMA, {"published": self._published_rows()})
        for process in range(self.processes):
            requests = [one for index, one in enumerate(self._requests()) if index % self.processes == process]
            write_rows(folder.received(process), received.SCHEMA, _received_rows(requests))
        run_facts.write(folder.facts, self.facts())
        return folder

    def facts(self) -> RunFacts:
        """The facts of a complete run, which ended 1 s after its last event."""
        times_ms = [*(one.at_ms for one in self.sent), *(one.at_ms for one in self.got)]
        return RunFacts(
            scenario="test",
            summary="",
            began_ns=BEGAN_NS,
            published_ns=BEGAN_NS + max((one.at_ms for one in self.sent), default=0) * MS,
            ended_ns=BEGAN_NS + max(times_ms, default=0) * MS + 1000 * MS,
            complete=True,
            subscriptions=self.subscriptions,
        )

    def _published_rows(self) -> Iterable[Sequence[object]]:
        for number, one in enumerate(self.sent):
            if one.acknowledged:
                at_ns = BEGAN_NS + one.at_ms * MS
                yield number, one.topic, one.partition, one.offset, one.key, at_ns, at_ns, at_ns

    def _requests(self) -> list[list[Got]]:
        ordered = sorted(self.got, key=lambda one: one.at_ms)
        requests: list[list[Got]] = []
        for one in ordered:
            if self.batched and requests and (requests[-1][0].at_ms, requests[-1][0].path) == (one.at_ms, one.path):
                requests[-1].append(one)
            else:
                requests.append([one])
        return requests


def got(number: int, one: Sent, path: str, at_ms: int) -> Got:
    """The delivery of a record that webhookd has read from where Kafka put it."""
    return Got(
        at_ms,
        path,
        number,
        one.topic,
        one.partition,
        one.offset or 0,
        BEGAN_NS // MS + one.at_ms,
        json.dumps(one.key).encode(),
        one.payload,
    )


def wants(subscription: RunSubscription, one: Sent) -> bool:
    """Whether all filters hold, for filters and payloads that raise nothing and whose values are true or false."""
    record = json.loads(one.payload)
    return one.topic in subscription.topics and all(
        jmespath.search(expression, record) for expression in subscription.filters
    )


def write_rows(file: Path, schema: str, tables: dict[str, Iterable[Sequence[object]]]) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody reads it after a power failure
        connection.executescript(schema)
        for table, rows in tables.items():
            for row in rows:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # its own tables


def _received_rows(requests: Sequence[Sequence[Got]]) -> dict[str, Iterable[Sequence[object]]]:
    return {
        "requests": [
            (request, BEGAN_NS + one.at_ms * MS, one.path, one.status, f"m-{request}", 100, one.signature)
            for request, (one, *_) in enumerate(requests, 1)
        ],
        "records": [
            (request, position, *_record_row(one))
            for request, records in enumerate(requests, 1)
            for position, one in enumerate(records)
        ],
    }


def _record_row(one: Got) -> tuple[object, ...]:
    value = None if one.value is None else one.value.decode()
    return one.topic, one.partition, one.offset, one.appended_ms, one.key.decode(), one.number, value


def order(number: int, *, status: str = "paid") -> bytes:
    return json.dumps({"order": number, "status": status, "note": "ünï"}, ensure_ascii=False).encode()


def good_run(records: int = 40, processes: int = 1) -> Run:
    """Two topics of two partitions, three keys, and three subscriptions: to one topic, to both, and with a filter."""
    offsets: dict[tuple[str, int], int] = {}
    sent = []
    for number in range(records):
        topic, key = ("orders", "refunds")[number % 4 == 3], f"k{number % 3}"
        partition = number % 3 % 2
        offset = offsets[topic, partition] = offsets.get((topic, partition), 99) + 1
        payload = order(number, status="paid" if number % 5 else "open")
        sent.append(Sent(topic, payload, key, partition, offset, 100 * number))
    run = Run(
        [
            RunSubscription(id="s-1", name="orders", path="/orders", topics=["orders"]),
            RunSubscription(id="s-2", name="all", path="/all", topics=["orders", "refunds"]),
            RunSubscription(
                id="s-3", name="paid", path="/paid", topics=["orders"], filters=["status == 'paid'", "order > `3`"]
            ),
        ],
        sent,
        processes=processes,
    )
    run.deliver_all()
    return run
