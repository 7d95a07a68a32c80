"""Operators are told of a fault once, whoever sees it, also while the database is the fault.

Real: the database (SQLite), the watch, its checks' threads. In the test's hand: the parts, the clock, the looks.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import (
    KafkaUnavailable,
    NoWorkers,
    QueueStalled,
    QueueUnavailable,
    StoreUnavailable,
    Unavailable,
)
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.store import migrating, system_health
from webhookd.store.database import Database
from webhookd.store.system_health import IngestLoad
from webhookd.store.tables import MailRow
from workers.ingest.monitoring.health_checks import Check, HealthChecks, WorkerChecks
from workers.ingest.monitoring.health_monitor import HealthMonitor

NOW = 1_700_000_000.0
KAFKA, STORE = KafkaUnavailable.code, StoreUnavailable.code
NOWHERE = "postgresql+psycopg2://u:p@127.0.0.1:1/d"


class Scene:
    """Ingest processes that look when told to; `broken` are the parts that do not work, for all or by member."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.away = Database(NOWHERE)
        self.now = NOW
        self.broken: set[str] = set()
        self.direct: list[tuple[str, Alert]] = []
        self.parts: list[HealthChecks] = []
        self.watches = {member: self._watch(member, self.database) for member in ("m1", "m2")}

    def look(self, member: str = "m1", *, times: int = 4) -> None:
        """So many looks, two seconds apart; four are enough for a fault to be one."""
        for _ in range(times):
            self.now += 2.0
            self.watches[member].check_now()

    def lose_database(self) -> None:
        """From now on the database does not answer."""
        self.broken.add(STORE)
        for watch in self.watches.values():
            watch._database = self.away

    def find_database(self) -> None:
        """It answers again."""
        self.broken.discard(STORE)
        for watch in self.watches.values():
            watch._database = self.database

    def restart(self, member: str) -> None:
        """The process has left, and another one has come."""
        with self.database.transaction() as session:
            system_health.leave(session, member)
        self.watches[member] = self._watch(f"{member}-again", self.database)

    def mails(self) -> list[str]:
        """The subjects in the outbox."""
        with self.database.transaction() as session:
            subjects = session.scalars(select(MailRow.subject).order_by(MailRow.id))
            return [subject.removeprefix("[webhookd] system: ") for subject in subjects]

    def _watch(self, member: str, database: Database) -> HealthMonitor:
        parts = HealthChecks({code: self._check(kind) for code, kind in KINDS.items()})
        self.parts.append(parts)
        return HealthMonitor(
            database,
            parts,
            _Outlet(self, member),
            member_id=member,
            operators=["ops@example.com"],
            vitals=lambda: IngestLoad(deliveries_in_flight=3, oldest_unanswered_s=1.5),
            wall_clock=lambda: self.now,
        )

    def _check(self, kind: type[Unavailable]) -> Check:
        def check() -> None:
            if kind.code in self.broken:
                raise kind("does not answer")

        return check


KINDS: dict[str, type[Unavailable]] = {KAFKA: KafkaUnavailable, STORE: StoreUnavailable}


class _Outlet:
    def __init__(self, scene: Scene, member: str) -> None:
        self._scene = scene
        self._member = member

    def send_directly(self, alert: Alert) -> None:
        self._scene.direct.append((self._member, alert))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'watch.db'}"
    migrating.upgrade(url)
    made = Scene(url)
    yield made
    for parts in made.parts:
        parts.stop()
    made.database.close()


def test_fault_is_mailed_once_and_so_is_its_end(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look(times=20)
    scene.broken.clear()
    scene.look(times=20)
    assert scene.mails() == [KAFKA, f"{KAFKA} is over"]


def test_fault_that_passes_is_mailed_to_nobody(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look(times=2)
    scene.broken.clear()
    scene.look()
    assert scene.mails() == []


def test_two_processes_that_see_one_fault_send_one_mail(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look("m1")
    scene.look("m2")
    with scene.database.transaction() as session:
        assert [seen.member_id for seen in system_health.faults(session)] == ["m1", "m2"]
    assert scene.mails() == [KAFKA]


def test_fault_is_over_when_nobody_sees_it_any_more(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look("m1")
    scene.look("m2")
    scene.broken.clear()
    scene.look("m1")
    assert scene.mails() == [KAFKA]
    scene.look("m2")
    assert scene.mails() == [KAFKA, f"{KAFKA} is over"]


def test_restarted_process_does_not_say_it_again(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look("m1")
    scene.restart("m1")
    scene.look("m1", times=10)
    assert scene.mails() == [KAFKA]


def test_fault_of_the_database_is_mailed_without_it(scene: Scene) -> None:
    scene.lose_database()
    scene.look(times=20)
    assert [alert.mail.subject for _, alert in scene.direct] == [f"[webhookd] system: {STORE}"]


def test_database_that_is_back_is_mailed_once_through_the_outbox(scene: Scene) -> None:
    scene.look("m1")
    scene.look("m2")
    scene.lose_database()
    scene.look("m1")
    scene.look("m2")
    scene.find_database()
    scene.look("m1")
    scene.look("m2")
    assert (len(scene.direct), scene.mails()) == (2, [f"{STORE} is over"])


def test_fault_told_before_the_database_went_is_not_told_again(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.look()
    scene.lose_database()
    scene.look()
    assert [alert.subject_key for _, alert in scene.direct] == [f"fault:{STORE}"]
    scene.broken.discard(KAFKA)
    scene.look()
    scene.find_database()
    scene.look()
    assert [alert.subject_key for _, alert in scene.direct[1:]] == [f"fault:{KAFKA}"]
    assert scene.mails() == [KAFKA, f"{STORE} is over"]


def test_vitals_are_kept_with_the_faults(scene: Scene) -> None:
    scene.look(times=1)
    with scene.database.transaction() as session:
        assert system_health.ingest_load(session) == IngestLoad(deliveries_in_flight=3, oldest_unanswered_s=1.5)


def test_part_that_hangs_has_failed_and_is_asked_once() -> None:
    asked, go_on = [], Event()

    def hang() -> None:
        asked.append(1)
        go_on.wait(10)

    parts = HealthChecks({"slow": hang, "quick": lambda: None}, deadline_s=0.05)
    answers = [parts.run() for _ in range(3)]
    go_on.set()
    parts.stop()
    assert (answers[2]["quick"], answers[2]["slow"], len(asked)) == (None, "no answer within 0 s", 1)


def test_part_that_cannot_be_asked_because_of_another_is_left_out() -> None:
    def queue_is_away() -> None:
        raise QueueUnavailable("refused")

    parts = HealthChecks({NoWorkers.code: queue_is_away, QueueUnavailable.code: queue_is_away})
    assert parts.run() == {QueueUnavailable.code: "refused"}
    parts.stop()


class Waiting(MemoryCoordination):
    """A board in whose queues tasks wait."""

    def queue_lengths(self) -> dict[str, int]:
        return {"webhookd.first": 3, "webhookd.retry": 0}


def test_queue_without_workers_is_a_fault_of_its_own() -> None:
    coordination = Waiting()
    now = [0.0]
    checks = WorkerChecks(coordination, lambda: now[0])
    with pytest.raises(NoWorkers, match=r"webhookd\.first, webhookd\.retry"):
        checks.queues_have_consumers()
    coordination.write_heartbeat(
        WorkerHeartbeat(
            id="w",
            queues=("webhookd.first", "webhookd.retry"),
            threads=4,
            busy=0,
            since_began_s=None,
            since_ended_s=None,
            started_at=0.0,
        )
    )
    checks.queues_have_consumers()
    checks.queues_move()
    now[0] = 60.0
    with pytest.raises(QueueStalled, match=r"3 tasks wait in webhookd\.first"):
        checks.queues_move()
