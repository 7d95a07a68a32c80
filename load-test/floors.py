"""The floors: the least cost of a benchmark case, each measured in a process of its own.

    python load-test/floors.py curl --url http://127.0.0.1:8080/
    python load-test/floors.py loop --url … --kafka … --topic … --batch 100 [--ca-file …]

`curl` is a bare libcurl multi loop that posts one rendered record again and again: its CPU time per request is the
unit, which is comparable between machines. `loop` consumes, renders and posts with webhookd's own consumer settings,
envelope and HTTP client, without Celery, Redis and ledger: a case's cost above it is the cost of the delivery
guarantees. Prints JSON.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

import pycurl
from confluent_kafka import Consumer, Message, TopicPartition

from generate import record
from measure import usage
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.attempt.judge import acknowledged
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.envelope import CONTENT_TYPE, Envelope, body
from webhookd.settings import Settings

CONNECTIONS = 8
DEADLINE_S = 15.0
END_OF_TOPIC_S = 5.0
WARM_UP_S = 0.5
WEBHOOK_ID = "msg_00000000000000000000000000000000"
CONSUMER = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 4096,
    "fetch.wait.max.ms": 200,
    "fetch.queue.backoff.ms": 10,
}
"""As webhookd's consumers have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The result of one run: in steady state, of this process alone."""

    requests: int
    elapsed_s: float
    cpu_s: float
    resident_bytes: int


class Stopwatch:
    """Counts requests from the end of the warm-up on, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._start = self._end = (0.0, 0.0)
        self._requests = 0

    def count(self, requests: int) -> bool:
        """Count finished requests; returns whether to continue."""
        now = time.monotonic()
        if self._start[0]:
            self._requests += requests
            self._end = (now, time.process_time())
        elif now - self._began >= WARM_UP_S:
            self._start = (now, time.process_time())
        return now - self._began < WARM_UP_S + self._seconds

    def floor(self) -> Floor:
        """The result up to the last count."""
        if not self._requests:
            raise RuntimeError("the input ended before the warm-up")
        return Floor(
            requests=self._requests,
            elapsed_s=self._end[0] - self._start[0],
            cpu_s=self._end[1] - self._start[1],
            resident_bytes=usage({"itself": [os.getpid()]}).resident_bytes["itself"],
        )


def curl_floor(url: str, seconds: float, ca_file: Path | None) -> Floor:
    """Post over libcurl's multi interface, from one thread."""
    payload = body([Envelope("orders", 0).render(123_456, 1_790_000_000_000, None, None, record(1))])
    multi = pycurl.CurlMulti()
    handles = [_easy(url, payload, ca_file) for _ in range(CONNECTIONS)]
    for handle in handles:
        multi.add_handle(handle)
    watch = Stopwatch(seconds)
    going_on = True
    while going_on:
        multi.perform()
        _, done, failed = multi.info_read()
        if failed:
            raise RuntimeError(f"libcurl: {failed[0][2]}")
        for handle in done:
            multi.remove_handle(handle)
            multi.add_handle(handle)
        going_on = watch.count(len(done))
        if not done:
            multi.select(0.1)
    floor = watch.floor()
    for handle in handles:
        multi.remove_handle(handle)
    return floor


def _easy(url: str, payload: bytes, ca_file: Path | None) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.POSTFIELDS, payload)
    handle.setopt(
        pycurl.HTTPHEADER,
        [f"Content-Type: {CONTENT_TYPE}", f"webhook-id: {WEBHOOK_ID}", "webhook-timestamp: 1790000000"],
    )
    handle.setopt(pycurl.WRITEFUNCTION, lambda _data: None)
    if ca_file is not None:
        handle.setopt(pycurl.CAINFO, str(ca_file))
    return handle


class Posts:
    """A request sequence: one partition's records as requests, one after another."""

    def __init__(self, target: Target, requests: list[bytes], ended: "SimpleQueue[int]") -> None:
        self.target = target
        self.deadline_s = DEADLINE_S
        self._requests = iter(requests)
        self._count = len(requests)
        self._ended = ended

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Return the next request. A failure ends the measurement: it would not be comparable."""
        if outcome is not None and not acknowledged(outcome):
            self._ended.put(-1)
            return None
        request = next(self._requests, None)
        if request is None:
            self._ended.put(self._count)
        return request


class BareLoop:
    """Consumes, renders and posts; at most one request sequence for each partition at a time."""

    def __init__(self, url: str, ca_file: Path | None, batch: int) -> None:
        settings = Settings(egress_allow=("127.0.0.0/8",), egress_ca_file=ca_file)
        self._loop = ExchangeLoop(settings)
        self._target = Target.parse(url)
        self._head = request_head(self._target, [], CONTENT_TYPE)
        self._batch = batch

    def run(self, consumer: Consumer, seconds: float) -> Floor:
        """Run until the time is up or the topic has ended."""
        self._loop.start()
        watch = Stopwatch(seconds)
        ended: SimpleQueue[int] = SimpleQueue()
        going_on = True
        while going_on:
            senders = self._senders(consumer.consume(max(8000, 4 * self._batch), END_OF_TOPIC_S), ended)
            for sender in senders:
                self._loop.submit(sender)
            done = [ended.get(timeout=DEADLINE_S) for _ in senders]
            if -1 in done:
                raise RuntimeError("a request failed")
            going_on = bool(done) and watch.count(sum(done))
        floor = watch.floor()
        self._loop.stop(1.0)
        return floor

    def _senders(self, messages: list[Message], ended: "SimpleQueue[int]") -> list[Posts]:
        by_partition: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in messages:
            by_partition[message.topic() or "", message.partition() or 0].append(message)
        return [Posts(self._target, list(self._requests(place, taken)), ended) for place, taken in by_partition.items()]

    def _requests(self, place: tuple[str, int], messages: list[Message]) -> Iterator[bytes]:
        render = Envelope(*place).render
        rendered = [render(m.offset() or 0, m.timestamp()[1], m.key(), None, m.value()) for m in messages]
        for first in range(0, len(rendered), self._batch):
            content = body(rendered[first : first + self._batch])
            yield b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\nContent-Length: %d\r\n\r\n%b" % (
                self._head,
                WEBHOOK_ID.encode(),
                time.time(),
                len(content),
                content,
            )


def loop_floor(arguments: argparse.Namespace) -> Floor:
    """Run the bare loop over a topic from its beginning."""
    consumer = Consumer({"bootstrap.servers": arguments.kafka, "group.id": "floor", **CONSUMER})
    consumer.assign([TopicPartition(arguments.topic, number, 0) for number in range(arguments.partitions)])
    try:
        return BareLoop(arguments.url, arguments.ca_file, arguments.batch).run(consumer, arguments.seconds)
    finally:
        consumer.close()


def main() -> None:
    """Measure one floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("floor", choices=("curl", "loop"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--kafka")
    parser.add_argument("--topic")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.floor == "curl":
        floor = curl_floor(arguments.url, arguments.seconds, arguments.ca_file)
    else:
        floor = loop_floor(arguments)
    print(json.dumps(asdict(floor)))


if __name__ == "__main__":
    main()
