"""The upkeep of groups without members. Real: SQLite. Doubled: Kafka's groups, by the shipped fake; time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.harness.databases import create_tables
from tests.harness.policies import OPERATOR, policy
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import UpkeepDelayed
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.membership import Member
from webhookd.flow.offsets.position import Committed, Partition
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.store import (
    administration,
    dropped_groups,
    ingest_members,
    policies,
    subscription_statuses,
    subscriptions,
)
from webhookd.store.database import Database
from webhookd.store.tables import DroppedGroupRow, SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin
from workers.ingest.control.assignment import Membership
from workers.ingest.control.consumer_group_upkeep import DELAYED_S, REAPPEARS_S, ConsumerGroupUpkeep

GROUP = f"webhooks-{ID}"
ORDERS = Partition("orders", 0)
COMMITS = {ORDERS: Committed(offset=7, metadata="text")}
INTERVAL_S = 600.0


class Groups(MemoryKafkaAdmin):
    """Counts the calls, and can be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []
        self.deleted: list[str] = []

    def commits(self, group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        self.kept.append(group)
        return super().commits(group, topics, timeout_s)

    def delete_group(self, group: str, timeout_s: float) -> None:
        super().delete_group(group, timeout_s)
        self.deleted.append(group)


class Scene:
    """The upkeep of one ingest process; others take part once they have a heartbeat."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'upkeep.db'}"
        create_tables(url)
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.groups = Groups()
        self.now = 1000.0
        self.upkeep = self.of("member")
        with self.database.transaction() as session:
            ingest_members.heartbeat(session, Member(id="member"))

    def of(self, member: str) -> ConsumerGroupUpkeep:
        return ConsumerGroupUpkeep(
            self.database,
            self.groups,
            member=Membership(id=member, timeout_s=3600.0, kafka_timeout_s=15.0, monotonic=lambda: self.now),
            offsets_every_s=INTERVAL_S,
            protocol=lambda: "classic",
        )

    def drop(self, *names: str) -> None:
        with self.database.transaction() as session:
            for name in names:
                dropped_groups.add(session, name)

    def waiting(self) -> list[str]:
        with self.database.transaction() as session:
            return [group.name for group in dropped_groups.waiting(session)]

    def store(self, id_: str = ID, *, active: bool) -> None:
        with self.database.transaction() as session:
            subscriptions.insert(session, subscription(id_, active=active))
        self.groups.recommit(f"webhooks-{id_}", COMMITS, 1.0)

    def keep_after_the_interval(self) -> None:
        self.now += INTERVAL_S
        self.upkeep.keep_offsets()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.database.close()


def test_dropped_group_is_deleted(scene: Scene) -> None:
    scene.groups.recommit(GROUP, COMMITS, 1.0)
    scene.drop(GROUP)
    scene.upkeep.drop_groups()
    assert scene.groups.committed == {}


def test_group_with_members_is_tried_again(scene: Scene) -> None:
    scene.groups.groups_with_members.add(GROUP)
    scene.drop(GROUP)
    scene.upkeep.drop_groups()
    scene.groups.groups_with_members.clear()
    scene.upkeep.drop_groups()
    assert scene.groups.deleted == []
    scene.now += 5.0
    scene.upkeep.drop_groups()
    assert scene.groups.deleted == [GROUP]


def test_group_without_brokers_is_tried_again(scene: Scene) -> None:
    scene.groups.down = True
    scene.drop(GROUP)
    scene.upkeep.drop_groups()
    scene.groups.down = False
    scene.now += 5.0
    scene.upkeep.drop_groups()
    assert scene.groups.deleted == [GROUP]


def test_group_that_came_back_is_deleted_again(scene: Scene) -> None:
    scene.drop(GROUP)
    scene.upkeep.drop_groups()
    scene.upkeep.drop_groups()
    assert (scene.groups.deleted, scene.waiting()) == ([GROUP], [GROUP])
    scene.now += REAPPEARS_S
    with scene.database.transaction() as session:
        session.execute(update(DroppedGroupRow).values(dropped_at=DroppedGroupRow.dropped_at - REAPPEARS_S))
    scene.upkeep.drop_groups()
    assert (scene.groups.deleted, scene.waiting()) == ([GROUP, GROUP], [])


def test_each_group_is_deleted_by_one_process(scene: Scene) -> None:
    names = [f"webhooks-{number}" for number in range(20)]
    scene.drop(*names)
    with scene.database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="other"))
    scene.upkeep.drop_groups()
    ours = list(scene.groups.deleted)
    scene.of("other").drop_groups()
    assert 0 < len(ours) < 20
    assert sorted(scene.groups.deleted) == sorted(names)


def test_offsets_of_an_inactive_subscription_are_kept(scene: Scene) -> None:
    scene.store(ID, active=False)
    scene.store(OTHER_ID, active=True)
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP]
    assert scene.groups.commits(GROUP, ["orders"], 1.0) == COMMITS
    assert scene.groups.joins == [(GROUP, ("orders",), "classic")]


def test_group_without_commits_is_not_joined(scene: Scene) -> None:
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription(active=False))
    scene.keep_after_the_interval()
    assert (scene.groups.kept, scene.groups.joins, scene.groups.committed) == ([GROUP], [], {})


def test_offline_service_keeps_all_offsets(scene: Scene) -> None:
    scene.store(active=True)
    with scene.database.transaction() as session:
        administration.switch(session, Availability.OFFLINE, "")
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP]


def test_offsets_of_a_subscription_that_is_not_allowed_are_kept(scene: Scene) -> None:
    scene.store(ID, active=True)
    with scene.database.transaction() as session:
        policies.create(session, policy(tenant="acme"), OPERATOR, limit=1)
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP]
    with scene.database.transaction() as session:
        policies.replace(session, policy(tenant=None), OPERATOR)
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP]


def test_offsets_of_a_damaged_subscription_are_kept(scene: Scene) -> None:
    scene.store(active=True)
    topics = (TopicStatus(topic="orders", partitions=1),)
    with scene.database.transaction() as session:
        session.execute(update(SubscriptionRow).values(sources={"odd": 7}))
        subscription_statuses.write(
            session, [SubscriptionStatus(subscription_id=ID, health=Health.UNHEALTHY, topics=topics)]
        )
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP]


def test_offsets_are_kept_once_an_interval(scene: Scene) -> None:
    scene.store(active=False)
    scene.upkeep.keep_offsets()
    assert scene.groups.kept == []
    scene.keep_after_the_interval()
    scene.upkeep.keep_offsets()
    assert scene.groups.kept == [GROUP]
    scene.keep_after_the_interval()
    assert scene.groups.kept == [GROUP, GROUP]


def test_group_that_runs_again_is_left_alone(scene: Scene) -> None:
    scene.store(active=False)
    scene.groups.groups_with_members.add(GROUP)
    scene.keep_after_the_interval()
    scene.upkeep.keep_offsets()
    assert (scene.groups.kept, scene.groups.joins) == ([GROUP], [])


def test_offsets_that_a_frozen_process_read_are_not_committed(scene: Scene) -> None:
    scene.store(active=False)
    scene.groups.committed[GROUP]["orders"][0] = 5
    frozen = scene.groups.commits

    def slowly(group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        learnt = frozen(group, topics, timeout_s)
        scene.groups.committed[group]["orders"][0] = 9
        scene.now += 60.0
        return learnt

    scene.groups.commits = slowly  # type: ignore[method-assign]  # time passes in the middle
    scene.keep_after_the_interval()
    assert scene.groups.committed[GROUP]["orders"] == {0: 9}


def test_offsets_that_cannot_be_renewed_for_an_hour_are_a_fault(scene: Scene) -> None:
    scene.store(active=False)
    scene.groups.down = True
    renewed(scene)
    scene.now += DELAYED_S - 1.0
    scene.upkeep.check()
    scene.now += 1.0
    with pytest.raises(UpkeepDelayed, match=GROUP):
        scene.upkeep.check()
    scene.groups.down = False
    renewed(scene)
    scene.upkeep.check()


def test_group_that_runs_again_is_no_fault(scene: Scene) -> None:
    scene.store(active=False)
    scene.groups.down = True
    renewed(scene)
    with scene.database.transaction() as session:
        session.execute(update(SubscriptionRow).values(active=True))
    scene.now += DELAYED_S
    scene.upkeep.keep_offsets()
    scene.upkeep.check()


def renewed(scene: Scene) -> None:
    """Renew every idle group once, without a pause after one that failed."""
    with scene.database.transaction() as session:
        for idle in scene.upkeep._idle_groups(session):
            scene.upkeep._stop.set()
            scene.upkeep._keep(idle)
    scene.upkeep._stop.clear()
