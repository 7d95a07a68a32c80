"""A consumer that is not webhookd's joins a subscription's group for a moment, and takes some of its partitions."""

import random
import threading
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from tests.chaos.environment import MEMBER_S, SESSION_S, Site
from tests.chaos.faults import Fault
from tests.chaos.findings import SLACK_S, Cost, Watched

POLL_S = 0.2
HOLDS_S = 1.0
"""How long it keeps the partitions at least."""


class OtherMember:
    """A member of the group from `join` to `leave`. It commits nothing."""

    def __init__(self, bootstrap: str, group: str, topics: Sequence[str]) -> None:
        self.took: list[TopicPartition] = []
        self._topics = topics
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": round(SESSION_S * 1000),
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="other-member", daemon=True)

    def join(self) -> None:
        """Join the group."""
        self._thread.start()

    def leave(self) -> None:
        """Leave the group."""
        self._leaving.set()
        self._thread.join(SESSION_S + SLACK_S)

    def _run(self) -> None:
        self._consumer.subscribe(list(self._topics), on_assign=lambda _consumer, given: self.took.extend(given))
        while not self._leaving.is_set():
            self._consumer.poll(POLL_S)
        self._consumer.close()


def joins_group(watched: Watched) -> Fault:
    """Another member joins this subscription's group, takes partitions, and leaves."""
    members: list[OtherMember] = []

    def begin(site: Site, _chance: random.Random) -> None:
        member = OtherMember(site.bootstrap, f"webhooks-{watched.id}", watched.topics)
        members.append(member)
        member.join()

    def end(site: Site, _chance: random.Random) -> None:
        (member,) = members
        took = site.wait_until(lambda: bool(member.took), SESSION_S + SLACK_S)
        site.run_for(HOLDS_S)
        member.leave()
        assert took, "the other member got no partition"

    return Fault(
        name=f"another member joins the group of {watched.label}",
        part=watched.label,
        begin=begin,
        end=end,
        lasts_s=(3.0, 5.0),
        cost=Cost(
            recovery_s=SESSION_S,
            why="two rebalances",
            later_resends=1,
            aftershock_s=MEMBER_S,
        ),
    )
