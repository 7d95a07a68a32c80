"""Twelve subscriptions that share two topics: most are caught up, and some fall behind when their endpoints fail."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import faults
from tests.chaos.environment import DEADLINE_S, LONGEST_PROBE_S, MEMBER_S
from tests.chaos.findings import Cost, Watched
from tests.chaos.rounds import Planned
from tests.chaos.scenario import COMMITTED_WITHIN_S, Scenario
from tests.chaos.shared_records import CONDITION, HIDDEN, SharedRecords
from tests.harness.checking_receiver import Behaviour
from tests.harness.load import Load
from tests.harness.pipeline import until

SETTINGS = {"WEBHOOKD_LANE_BUFFER_BYTES": "65536", "WEBHOOKD_DELIVERY_BYTES": "32768"}
"""Buffers so small that an endpoint which fails or is slow for some seconds fills them."""

PER_S = 40.0
"""In each topic. The twelve subscriptions get some 300 records a second of the two."""

FILLS_S = (8.0, 10.0)
"""In this time the buffers of a subscription without a filter are full."""


Place = tuple[str, int, int | None]
"""Topic, partition and offset of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A subscription: which of the two topics it reads, through which filters, and in batches of how many."""

    label: str
    topics: tuple[int, ...] = (0, 1)
    filters: tuple[str, ...] = ()
    size: int = 1


ALL = Kind(label="all of both")
ALL_OF_FIRST = Kind(label="all of the first", topics=(0,), size=10)
ALL_OF_SECOND = Kind(label="all of the second", topics=(1,))
TENANTS = tuple(Kind(label=f"tenant {n}", filters=(f"tenant == '{n}'",)) for n in range(4))
WITHOUT_INDEX = (
    Kind(label="red", filters=("contains(tags, 'red')",)),
    Kind(label="cheap, or tenant 1", topics=(1,), filters=("amount < `250` || tenant == '1'",), size=10),
    Kind(label="card not seen", filters=(f"!{HIDDEN}",)),
)
KINDS = (
    ALL,
    ALL_OF_FIRST,
    ALL_OF_SECOND,
    *TENANTS,
    Kind(label="tenant 4, dear", filters=("tenant == '4'", "amount > `500`")),
    Kind(label="tenant 5 of a region", topics=(0,), filters=("tenant == '5' && origin.region == 'eu'",)),
    *WITHOUT_INDEX,
)


class SharedTopics:
    """A scenario's two topics with their records, and its subscriptions to them. The second topic has a policy."""

    def __init__(self, scenario: Scenario, kinds: Sequence[Kind] = KINDS) -> None:
        self.scenario = scenario
        self.records = SharedRecords(scenario.topics[1:])
        _govern(scenario, scenario.topics[1])
        for kind in kinds:
            scenario.subscribe(
                kind.label,
                topics=[scenario.topics[index] for index in kind.topics],
                filters=kind.filters,
                wants=self.records.wanted_by(kind.filters),
                size=kind.size,
            )

    def load(self, per_s: float = PER_S, *, undecodable_every: int = 0) -> list[Load]:
        """Start a load of each topic, and wait until every subscription receives records."""
        loads = [
            self.scenario.load(
                per_s,
                topic=topic,
                values=self.records.values(topic, undecodable_every=undecodable_every),
                wait=False,
            )
            for topic in self.scenario.topics
        ]
        self.scenario.wait_flowing()
        return loads

    def assert_dead_letters(self) -> None:
        """End the loads; each subscription has, soon, one dead letter of each undecodable record, and no other ones."""
        for load in self.scenario.loads:
            load.stop()
        sent = self.scenario.sent()
        bad = [sent[number] for number in self.records.undecodable if number in sent]
        for watched in self.scenario.watched:
            expected = Counter((one.topic, one.partition, one.offset) for one in bad if one.topic in watched.topics)
            assert expected, f"no record of {watched.label} is undecodable"
            found = self._dead_letters(watched, expected)
            assert found == expected, f"{watched.label}: missing {expected - found}, too many {found - expected}"

    def _dead_letters(self, watched: Watched, expected: Counter[Place]) -> Counter[Place]:
        """The places of its dead letters, when they are these or when there was time enough."""

        def found() -> Counter[Place]:
            rows = self.scenario.site.pipeline.dead_letters(watched.id)
            return Counter((row["topic"], row["partition"], row["offset"]) for row in rows)

        self.scenario.site.wait_until(lambda: found() == expected, COMMITTED_WITHIN_S)
        return found()


def _govern(scenario: Scenario, topic: str) -> None:
    """Give a topic a policy, which hides some records and a member of the others, and wait until it is in force."""
    pipeline = scenario.site.pipeline
    policy = {"topic": topic, "effect": "allow", "condition": CONDITION, "projection": {"exclude": [HIDDEN]}}
    answer = pipeline.ask("POST", "/1/Policy", policy)
    scenario.at_end(lambda: pipeline.ask("DELETE", f"/1/Policy/{answer['id']}"))

    def in_force() -> bool:
        """Whether all that run have confirmed it: one that an earlier scenario has killed is named for minutes."""
        missing = pipeline.ask("GET", "/1/Policy/Confirmation")["missing"]
        return all(one["heartbeat_age_seconds"] > MEMBER_S for one in missing)

    until(in_force, "the policy is in force")


def flapping(
    chance: random.Random, some: Sequence[Watched], first_s: tuple[float, float] = FILLS_S, *, most: int = 3
) -> list[Planned]:
    """The endpoints of these fail and recover: each up to `most` times, the first one until its buffers are full."""
    first, *others = some
    behaviour = chance.choice((Behaviour.SLOW, Behaviour.HANG))
    planned = [_fails(first, behaviour, chance.uniform(0.0, 2.0), chance.uniform(*first_s))]
    for watched in others:
        at_s = chance.uniform(0.0, 2.0)
        for _ in range(chance.randint(1, most)):
            planned.append(_fails(watched, chance.choice(faults.BAD), at_s, chance.uniform(0.5, 3.0)))
            at_s = planned[-1].ends_s + chance.uniform(0.2, 1.5)
    return planned


def _fails(watched: Watched, behaviour: Behaviour, at_s: float, lasts_s: float) -> Planned:
    return Planned(fault=faults.receiver_fault(watched, behaviour), begins_s=at_s, ends_s=at_s + lasts_s)


def together(*processes: faults.Fault) -> Cost:
    """The cost of endpoints that fail while these faults happen: their recoveries add up."""
    return Cost(
        recovery_s=LONGEST_PROBE_S + DEADLINE_S + sum(fault.cost.recovery_s for fault in processes),
        why="as long as the round + the longest wait for a probe + the recoveries of the other faults",
        resends_at_start=False,  # counted for each of the faults, at its own time
    )
