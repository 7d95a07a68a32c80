"""Samples a group's committed offsets several times a second, and records when they go backwards.

It uses a consumer that does not join the group: librdkafka 2.16 crashes when the admin client's request for this,
list_consumer_group_offsets, is answered with an error.
"""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.harness.checking_receiver import LaneKey
from webhookd.flow.offsets.commit_metadata import decode
from webhookd.flow.offsets.position import Committed

INTERVAL_S = 0.25
ASK_TIMEOUT_S = 3.0


class Step(NamedTuple):
    """The committed offset of one lane was `offset` at `at` (monotonic), or shortly before."""

    at: float
    offset: int


class CommitHistory:
    """The commits of one group; `backwards` lists each step back within one incarnation of a topic.

    `incarnations` has the present incarnation of each topic.
    """

    def __init__(self) -> None:
        self.backwards: list[str] = []
        self.incarnations: defaultdict[str, int] = defaultdict(lambda: 1)
        self._incarnations: dict[str, int] = {}
        self._steps: defaultdict[LaneKey, list[Step]] = defaultdict(list)
        self._times: list[float] = []

    def topic_deleted(self, topic: str, topic_id: str) -> None:
        """The topic with this UUID was deleted; the next one of this name is of the next incarnation."""
        self._incarnations[topic_id] = self.incarnations[topic]
        self.incarnations[topic] += 1

    def note(self, topic: str, commits: Mapping[int, Committed], incarnation: int, now: float) -> None:
        """Add the committed offsets by partition; they were requested in that incarnation and returned now.

        Kafka deletes the commits of a deleted topic some time later, and a commit that was decided before the deletion
        can arrive in the next incarnation. Its commit metadata has the UUID of the topic that it belongs to.
        """
        self._times.append(now)
        for partition, committed in commits.items():
            of, offset = self._incarnations.get(decode(committed.metadata).topic_id, incarnation), committed.offset
            steps = self._steps[LaneKey(topic, of, partition)]
            if not steps and offset == self._last(LaneKey(topic, of - 1, partition)):
                continue  # of the previous incarnation, without metadata
            if steps and offset < steps[-1].offset and of == self.incarnations[topic]:
                self.backwards.append(f"{topic}/{partition}: {steps[-1].offset} → {offset}")
            if not steps or offset != steps[-1].offset:
                steps.append(Step(now, offset))

    def _last(self, lane: LaneKey) -> int:
        steps = self._steps.get(lane, [])
        return steps[-1].offset if steps else -1

    def committed(self, lane: LaneKey, at: float) -> int:
        """The offset known to be committed at that time, 0 for none; the real one may have been slightly higher."""
        steps = self._steps.get(lane, [])
        index = bisect_right(steps, at, key=lambda step: step.at)
        return steps[index - 1].offset if index else 0

    def now(self) -> dict[LaneKey, int]:
        """The committed offsets of the last sample."""
        return {lane: steps[-1].offset for lane, steps in self._steps.copy().items() if steps}

    def times(self, since: float, until: float) -> list[float]:
        """The times of the samples within these bounds."""
        return [at for at in self._times if since <= at <= until]


class CommitWatch:
    """Samples one group from `start` to `stop`.

    The test sets `partitions`, how many each topic has, and reports a deleted topic to `history`.
    """

    def __init__(self, bootstrap: str, group: str, partitions: Mapping[str, int]) -> None:
        self.partitions = dict(partitions)
        self.history = CommitHistory()
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commit-watch", daemon=True)

    def start(self) -> None:
        """Start to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._stopping.set()
        self._thread.join(2 * ASK_TIMEOUT_S)

    def ask(self) -> dict[str, dict[int, Committed]]:
        """The offsets committed now, by topic and partition, without partitions that have none.

        Raises KafkaException.
        """
        wanted = [TopicPartition(topic, number) for topic, count in self.partitions.items() for number in range(count)]
        found: dict[str, dict[int, Committed]] = {topic: {} for topic in self.partitions}
        for place in self._consumer.committed(wanted, timeout=ASK_TIMEOUT_S):
            if place.error is None and place.offset >= 0:
                found[place.topic][place.partition] = Committed(offset=place.offset, metadata=place.metadata or "")
        return found

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            incarnations = {topic: self.history.incarnations[topic] for topic in self.partitions}
            try:
                commits = self.ask()
            except KafkaException:
                continue  # the brokers are down
            now = time.monotonic()
            for topic, found in commits.items():
                self.history.note(topic, found, incarnations[topic], now)
        self._consumer.close()
