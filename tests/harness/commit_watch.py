"""What a group has committed, asked of the broker several times a second: it never goes backwards.

Asked through a consumer that never joins: librdkafka 2.16 crashes when the admin client's list_consumer_group_offsets
is answered with an error.
"""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.harness.checking_receiver import LaneKey

INTERVAL_S = 0.25
ASK_TIMEOUT_S = 3.0


class Step(NamedTuple):
    """The committed offset of one lane was `offset` at `at` (monotonic) or a moment before."""

    at: float
    offset: int


class CommitHistory:
    """What was seen of one group; `backwards` names each step back within one life of the topic."""

    def __init__(self) -> None:
        self.backwards: list[str] = []
        self.life = 1
        self._steps: defaultdict[LaneKey, list[Step]] = defaultdict(list)
        self._times: list[float] = []

    def note(self, topic: str, offsets: Mapping[int, int], life: int, now: float) -> None:
        """The offsets by partition, as answered now to a question asked in that life."""
        self._times.append(now)
        for partition, offset in offsets.items():
            steps = self._steps[LaneKey(topic, life, partition)]
            if not steps and offset == self._last(LaneKey(topic, life - 1, partition)):
                continue  # of the topic's life before: Kafka forgets it in its own time
            if steps and offset < steps[-1].offset and life == self.life:
                self.backwards.append(f"{topic}/{partition}: {steps[-1].offset} → {offset}")
            if not steps or offset != steps[-1].offset:
                steps.append(Step(now, offset))

    def _last(self, lane: LaneKey) -> int:
        steps = self._steps.get(lane, [])
        return steps[-1].offset if steps else -1

    def committed(self, lane: LaneKey, at: float) -> int:
        """What was committed at that time at least, 0 for nothing; the truth may have been a moment ahead."""
        steps = self._steps.get(lane, [])
        index = bisect_right(steps, at, key=lambda step: step.at)
        return steps[index - 1].offset if index else 0

    def now(self) -> dict[LaneKey, int]:
        """What was committed when it was last asked."""
        return {lane: steps[-1].offset for lane, steps in self._steps.copy().items() if steps}

    def times(self, since: float, until: float) -> list[float]:
        """When it was asked, and answered, within these bounds."""
        return [at for at in self._times if since <= at <= until]


class CommitWatch:
    """Samples one group from `start` to `stop`; a topic that grows or is made again is said."""

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int) -> None:
        self.partitions = partitions
        self.history = CommitHistory()
        self._topic = topic
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commit-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join(2 * ASK_TIMEOUT_S)

    def ask(self) -> dict[int, int]:
        """The committed offsets now, by partition; without those that have none. Raises KafkaException."""
        wanted = [TopicPartition(self._topic, number) for number in range(self.partitions)]
        places = self._consumer.committed(wanted, timeout=ASK_TIMEOUT_S)
        return {place.partition: place.offset for place in places if place.error is None and place.offset >= 0}

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            life = self.history.life
            try:
                offsets = self.ask()
            except KafkaException:
                continue  # the brokers are away
            self.history.note(self._topic, offsets, life, time.monotonic())
        self._consumer.close()
