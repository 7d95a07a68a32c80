"""Whether Kafka answers, and whether it is the database's cluster. Real: SQLite, the thread. In hand: the brokers."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from webhookd.errors import ClusterMismatch, KafkaUnavailable, StoreUnavailable
from webhookd.store import kafka_cluster, migrating
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin
from workers.ingest.monitoring.kafka_watch import KafkaWatch

PATIENCE_S = 10.0


class Heard:
    """Keeps what it is told, in its order."""

    def __init__(self) -> None:
        self.told: SimpleQueue[str] = SimpleQueue()

    def kafka_confirmed(self) -> None:
        self.told.put("confirmed")

    def kafka_checked(self) -> None:
        self.told.put("asked")

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        self.told.put(error.detail)

    def all(self) -> list[str]:
        return [self.told.get() for _ in range(self.told.qsize())]


class Scene:
    """A watch whose brokers, database and clock the test has in hand."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.kafka = MemoryKafkaAdmin()
        self.heard = Heard()
        self.now = 100.0
        self.watch = self.new_watch(self.database)

    def new_watch(self, database: Database) -> KafkaWatch:
        return KafkaWatch(self.kafka, database, self.heard, monotonic=lambda: self.now, interval_s=0.01)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'watch.db'}"
    migrating.upgrade(url)
    made = Scene(url)
    yield made
    made.database.close()


def test_first_answer_confirms_the_cluster_once(scene: Scene) -> None:
    scene.watch.ask()
    scene.watch.ask()
    assert scene.heard.all() == ["confirmed", "asked", "asked"]
    with scene.database.transaction() as session:
        assert kafka_cluster.recorded(session) == scene.kafka.cluster


def test_silence_confirms_nothing_and_is_counted(scene: Scene) -> None:
    scene.kafka.down = True
    scene.watch.ask()
    scene.now += 7.0
    scene.watch.ask()
    assert (scene.heard.all(), scene.watch.reachability.unreachable_s(scene.now)) == (["asked", "asked"], 7.0)
    with pytest.raises(KafkaUnavailable):
        scene.watch.check()
    scene.kafka.down = False
    scene.watch.ask()
    scene.watch.check()
    assert scene.heard.all() == ["confirmed", "asked"]


def test_other_cluster_than_the_databases_is_refused_by_both_names(scene: Scene) -> None:
    with scene.database.transaction() as session:
        kafka_cluster.record(session, "first")
    with pytest.raises(ClusterMismatch, match=r"cluster cluster-in-memory.* cluster first") as raised:
        scene.watch.ask()
    assert raised.value.code == "cluster_mismatch"
    assert scene.heard.all() == []


def test_cluster_that_is_replaced_ends_the_watch(scene: Scene) -> None:
    scene.watch.start()
    assert scene.watch.wait_asked(PATIENCE_S)
    scene.kafka.cluster = "replaced"
    told = "asked"
    while told in {"asked", "confirmed"}:
        told = scene.heard.told.get(timeout=PATIENCE_S)
    scene.watch.stop()
    assert "replaced" in told
    assert "cluster-in-memory" in told


def test_cluster_without_an_id_is_compared_with_nothing(scene: Scene) -> None:
    with scene.database.transaction() as session:
        kafka_cluster.record(session, "first")
    scene.kafka.cluster = ""
    scene.watch.ask()
    assert scene.heard.all() == ["confirmed", "asked"]


def test_cluster_is_confirmed_when_the_database_answers_too(scene: Scene) -> None:
    watch = scene.new_watch(Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"))
    with pytest.raises(StoreUnavailable):
        watch.ask()
    assert scene.heard.all() == []
    watch._database = scene.database
    watch.ask()
    assert scene.heard.all() == ["confirmed", "asked"]
