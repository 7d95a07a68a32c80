"""Several subscriptions of the same partitions with a simulated clock: their lanes follow a shared partition and leave.

They change over in the middle of retries, losses, rewinds, dead letters and rebalances. Oracle: for each subscription
the model of tests/harness/simulation.py, which decides by its own matcher what it must get.
"""

import random

import pytest

from tests.harness.lanes import TOPIC, Record
from tests.harness.simulation import World
from webhookd.flow.authorization.shared_matching import SharedMatching
from webhookd.flow.authorization.topic_matcher import topic_matcher
from webhookd.flow.batching.follower import may_follow
from webhookd.flow.batching.shared_partition import SharedPartition
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.offsets.position import UNREAD, Partition
from webhookd.flow.policy.policy import OPEN_TOPIC

FILTERS: tuple[tuple[str, ...], ...] = (
    (),
    ("t == 'a'",),
    ("t == 'b' && v > `1`",),
    ("t != 'a'",),
    ("t == 'a'", "v < `3`"),
)
VALUES = (
    b'{"t":"a","v":1}',
    b'{"t":"a","v":2}',
    b'{"t":"b","v":2}',
    b'{"t":"a","v":"x"}',
    b'{"t":"b","v":"x"}',
    b'{"t',
)
"""The last but two raise an error in some filters; the last one cannot be decoded."""


class Reader:
    """A partition that is read once for those that follow it; they begin and leave at random."""

    def __init__(self, chance: random.Random, number: int, log: list[Record]) -> None:
        self.chance = chance
        self.partition = Partition(TOPIC, number)
        self.log = log
        self.matching: SharedMatching[str] = SharedMatching()
        self.read: SharedPartition[Delivery] | None = None
        self.handed_over = self.shared = 0

    def lane(self, world: World) -> Lane:
        return world.accumulator.lanes[TOPIC, self.partition.number]

    def drop_moved(self, worlds: dict[str, World]) -> None:
        """Lanes that were rewound, closed or stopped leave; their own consumers continue at their positions."""
        for id_ in list(self.read.followers) if self.read is not None else ():
            lane = self.lane(worlds[id_])
            if not lane.following:
                self.leave(worlds[id_], moved=True)

    def leave(self, world: World, *, moved: bool = False) -> None:
        assert self.read is not None
        id_ = world.accumulator.subscription.id
        old = self.read.followers[id_].lane
        self.read.remove(id_)
        self.matching.remove(id_)
        lane = self.lane(world)
        topic = world.topics[self.partition.number]
        if lane is old and lane.ledger.position != UNREAD:
            topic.reading = lane.ledger.position
        self.handed_over += 1
        if not self.read.followers:
            self.read = None
        assert moved or lane is old

    def begin(self, world: World) -> None:
        lane, id_ = self.lane(world), world.accumulator.subscription.id
        if lane.following or not may_follow(lane):
            return
        if self.read is not None and lane.ledger.position < self.read.position.offset:
            return
        self.matching.add(id_, OPEN_TOPIC, FILTERS[int(id_[-1])])
        if self.read is None:
            self.read = SharedPartition(self.partition, lane.ledger.position, self.matching)
        self.read.add(lane, topic_matcher(OPEN_TOPIC, FILTERS[int(id_[-1])]))

    def step(self, worlds: dict[str, World]) -> None:
        self.drop_moved(worlds)
        for world in worlds.values():
            if world.faultless or self.chance.random() < 0.5:
                self.begin(world)
        if self.read is not None:
            unread = [record for record in self.log if record.at >= self.read.position.offset]
            count = self.chance.randint(0, 12)
            self._take(unread[:count], worlds)
            if count >= len(unread) and self.read is not None:
                self.read.reach_end(self.log[-1].at + 1)
        self.drop_moved(worlds)
        for id_ in list(self.read.followers) if self.read is not None else ():
            if not worlds[id_].faultless and self.chance.random() < 0.1:
                self.leave(worlds[id_])

    def _take(self, records: list[Record], worlds: dict[str, World]) -> None:
        assert self.read is not None
        if not records:
            return
        self.shared += len(self.read.followers) > 1
        for follower in self.read.take(records, worlds[next(iter(worlds))].now):
            world = worlds[follower.lane.subscription_id]
            world.dead_letters.extend((follower.lane, letter) for letter in follower.take_dead_letters())


class Group:
    """The subscriptions, and a shared reader of each partition."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # seeded on purpose
        logs = {number: self._log() for number in range(self.chance.randint(1, 2))}
        ids = [f"subscription-{number}" for number in range(self.chance.randint(1, len(FILTERS)))]
        self.worlds = {
            id_: World(seed, logs, id_=id_, matcher=topic_matcher(OPEN_TOPIC, FILTERS[number]))
            for number, id_ in enumerate(ids)
        }
        self.readers = [Reader(self.chance, number, log) for number, log in logs.items()]

    def _log(self) -> list[Record]:
        offset, log = 0, []
        for _ in range(self.chance.randint(20, 120)):
            offset += self.chance.choice((1, 1, 1, 2, 17))  # compaction leaves gaps
            run = 14 if self.chance.random() < 0.02 else 1
            value = VALUES[-1] if run > 1 else self.chance.choice(VALUES)
            log += [Record(offset + more, value) for more in range(run)]
            offset += run - 1
        return log

    def step(self) -> None:
        for reader in self.readers:
            reader.step(self.worlds)
        for world in self.worlds.values():
            world.step()

    @property
    def settled(self) -> bool:
        return all(world.settled for world in self.worlds.values())


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_and_order_is_kept(seed: int) -> None:
    group = Group(seed)
    for _ in range(200):
        group.step()
    for world in group.worlds.values():
        world.faultless = True
    for _ in range(3000):
        group.step()
        if group.settled:
            break
    assert group.settled
    for world in group.worlds.values():
        assert all(topic.settled_below(topic.end) for topic in world.topics.values())


def test_simulation_hands_over_often() -> None:
    groups = [Group(seed) for seed in range(10)]
    for group in groups:
        for _ in range(100):
            group.step()
    readers = [reader for group in groups for reader in group.readers]
    assert sum(reader.handed_over for reader in readers) > 100
    assert sum(reader.shared for reader in readers) > 40
