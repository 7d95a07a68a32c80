"""Consumes, renders and posts with webhookd's own consumer settings, envelope and HTTP client.

There is no Celery, Redis or ledger: a case's cost above this is the cost of the delivery guarantees.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from confluent_kafka import Consumer, Message, TopicPartition

from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.attempt.judge import acknowledged
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.envelope import CONTENT_TYPE, Envelope, body
from webhookd.settings import Settings
from webhookd_load_test.benchmarks.floors.curl_floor import WEBHOOK_ID
from webhookd_load_test.benchmarks.floors.stopwatch import Floor, Stopwatch

DEADLINE_S = 15.0
END_OF_TOPIC_S = 5.0
CONSUMER = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 4096,
    "fetch.wait.max.ms": 200,
    "fetch.queue.backoff.ms": 10,
}
"""As webhookd's consumers have it."""


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


def loop_floor(loop: BareLoop, kafka: str, topic: str, partitions: int, seconds: float) -> Floor:
    """Run the bare loop over a topic from its beginning."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "floor", **CONSUMER})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    try:
        return loop.run(consumer, seconds)
    finally:
        consumer.close()
