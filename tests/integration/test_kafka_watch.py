"""Whether Kafka answers, and whether it is the database's cluster. Real: SQLite, the thread. Fake: the brokers."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.harness.databases import create_tables
from tests.harness.secret_keys import SECRET_KEYS
from webhookd.errors import ClusterMismatch, KafkaAuthenticationFailed, KafkaUnavailable, StoreUnavailable
from webhookd.store import kafka_cluster
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin
from workers.ingest.monitoring.kafka_watch import KafkaWatch

PATIENCE_S = 10.0


class Callbacks:
    """Keeps the calls in their order."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[str] = SimpleQueue()

    def kafka_confirmed(self) -> None:
        self.calls.put("confirmed")

    def kafka_checked(self) -> None:
        self.calls.put("checked")

    def kafka_mismatched(self, error: ClusterMismatch) -> None:
        self.calls.put(error.detail)

    def all(self) -> list[str]:
        return [self.calls.get() for _ in range(self.calls.qsize())]


class Scene:
    """A watch whose brokers, database and clock the test controls."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.kafka = MemoryKafkaAdmin()
        self.callbacks = Callbacks()
        self.now = 100.0
        self.watch = self.new_watch(self.database)

    def new_watch(self, database: Database) -> KafkaWatch:
        return KafkaWatch(self.kafka, database, self.callbacks, monotonic=lambda: self.now, interval_s=0.01)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'watch.db'}"
    create_tables(url)
    made = Scene(url)
    yield made
    made.database.close()


def test_first_answer_confirms_the_cluster_once(scene: Scene) -> None:
    scene.watch.probe()
    scene.watch.probe()
    assert scene.callbacks.all() == ["confirmed", "checked", "checked"]
    with scene.database.transaction() as session:
        assert kafka_cluster.recorded(session) == scene.kafka.cluster


def test_outage_confirms_nothing_and_is_timed(scene: Scene) -> None:
    scene.kafka.down = True
    scene.watch.probe()
    scene.now += 7.0
    scene.watch.probe()
    assert (scene.callbacks.all(), scene.watch.reachability.unreachable_s(scene.now)) == (["checked", "checked"], 7.0)
    with pytest.raises(KafkaUnavailable):
        scene.watch.check_answers()
    scene.watch.check_accepts()
    scene.kafka.down = False
    scene.watch.probe()
    scene.watch.check_answers()
    assert scene.callbacks.all() == ["confirmed", "checked"]


def test_refused_login_is_a_fault_of_its_own(scene: Scene) -> None:
    scene.kafka.down = True
    scene.watch.probe()
    scene.kafka.refused = True
    scene.watch.probe()
    scene.watch.check_answers()
    with pytest.raises(KafkaAuthenticationFailed):
        scene.watch.check_accepts()
    scene.kafka.down = scene.kafka.refused = False
    scene.watch.probe()
    scene.watch.check_accepts()


def test_other_cluster_is_rejected_with_both_ids(scene: Scene) -> None:
    with scene.database.transaction() as session:
        kafka_cluster.record(session, "first")
    with pytest.raises(ClusterMismatch, match=r"cluster cluster-in-memory.* cluster first") as raised:
        scene.watch.probe()
    assert raised.value.code == "cluster_mismatch"
    assert scene.callbacks.all() == []


def test_replaced_cluster_ends_the_watch(scene: Scene) -> None:
    scene.watch.start()
    assert scene.watch.wait_first_probe(PATIENCE_S)
    scene.kafka.cluster = "replaced"
    calls = "checked"
    while calls in {"checked", "confirmed"}:
        calls = scene.callbacks.calls.get(timeout=PATIENCE_S)
    scene.watch.stop()
    assert "replaced" in calls
    assert "cluster-in-memory" in calls


def test_cluster_without_an_id_is_not_compared(scene: Scene) -> None:
    with scene.database.transaction() as session:
        kafka_cluster.record(session, "first")
    scene.kafka.cluster = ""
    scene.watch.probe()
    assert scene.callbacks.all() == ["confirmed", "checked"]


def test_cluster_is_confirmed_only_with_the_database(scene: Scene) -> None:
    watch = scene.new_watch(Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"))
    with pytest.raises(StoreUnavailable):
        watch.probe()
    assert scene.callbacks.all() == []
    watch._database = scene.database
    watch.probe()
    assert scene.callbacks.all() == ["confirmed", "checked"]
