"""Operators get one mail about a fault, whichever process finds it, also while the database is the fault.

Real: the database (SQLite), the monitor, its checks' threads. The test's: the checks, the clock, when to check.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from tests.harness.databases import create_tables
from tests.harness.secret_keys import SECRET_KEYS
from webhookd import clock
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import (
    KafkaUnavailable,
    NoWorkers,
    QueueStalled,
    QueueUnavailable,
    StoreUnavailable,
    Unavailable,
    WorkersLackKeys,
    WorkersLackStore,
)
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.store import system_health
from webhookd.store.database import Database
from webhookd.store.system_health import IngestLoad
from webhookd.store.tables import MailRow
from workers.ingest.monitoring.health_checks import Check, HealthChecks, SeenQueues, WorkerChecks
from workers.ingest.monitoring.health_monitor import HealthMonitor

NOW = 1_700_000_000.0
KAFKA, STORE = KafkaUnavailable.code, StoreUnavailable.code
NOWHERE = "postgresql+psycopg2://u:p@127.0.0.1:1/d"


class Scene:
    """Ingest processes whose checks the test starts; `broken` are the checks that do not work."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.unreachable = Database(NOWHERE)
        self.now = NOW
        self.broken: set[str] = set()
        self.direct: list[tuple[str, Alert]] = []
        self.all_checks: list[HealthChecks] = []
        self.monitors = {member: self._watch(member, self.database) for member in ("m1", "m2")}

    def check(self, member: str = "m1", *, times: int = 4) -> None:
        """Run so many checks, two seconds apart; four are enough for a fault."""
        for _ in range(times):
            self.now += 2.0
            self.monitors[member].check_now()

    def lose_database(self) -> None:
        """From now on the database does not answer."""
        self.broken.add(STORE)
        for monitor in self.monitors.values():
            monitor._database = self.unreachable

    def find_database(self) -> None:
        """It answers again."""
        self.broken.discard(STORE)
        for monitor in self.monitors.values():
            monitor._database = self.database

    def restart(self, member: str) -> None:
        """The process has ended, and another one has started."""
        with self.database.transaction() as session:
            system_health.leave(session, member)
        self.monitors[member] = self._watch(f"{member}-again", self.database)

    def mails(self) -> list[str]:
        """The subjects in the outbox."""
        with self.database.transaction() as session:
            subjects = session.scalars(select(MailRow.subject).order_by(MailRow.id))
            return [subject.removeprefix("[webhookd] system: ") for subject in subjects]

    def _watch(self, member: str, database: Database) -> HealthMonitor:
        checks = HealthChecks({code: self._check(kind) for code, kind in KINDS.items()})
        self.all_checks.append(checks)
        return HealthMonitor(
            database,
            checks,
            _DirectMail(self, member),
            member_id=member,
            operators=["ops@example.com"],
            ingest_load=lambda: IngestLoad(deliveries_in_flight=3, oldest_unanswered_s=1.5),
            wall_clock=lambda: self.now,
        )

    def _check(self, kind: type[Unavailable]) -> Check:
        def check() -> None:
            if kind.code in self.broken:
                raise kind("does not answer")

        return check


KINDS: dict[str, type[Unavailable]] = {KAFKA: KafkaUnavailable, STORE: StoreUnavailable}


class _DirectMail:
    def __init__(self, scene: Scene, member: str) -> None:
        self._scene = scene
        self._member = member

    def send_directly(self, alert: Alert) -> None:
        self._scene.direct.append((self._member, alert))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'watch.db'}"
    create_tables(url)
    made = Scene(url)
    yield made
    for checks in made.all_checks:
        checks.stop()
    made.database.close()


def test_fault_is_mailed_once_and_so_is_its_end(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check(times=20)
    scene.broken.clear()
    scene.check(times=20)
    assert scene.mails() == [KAFKA, f"{KAFKA} is over"]


def test_short_failure_is_not_mailed(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check(times=2)
    scene.broken.clear()
    scene.check()
    assert scene.mails() == []


def test_two_processes_with_one_fault_send_one_mail(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check("m1")
    scene.check("m2")
    with scene.database.transaction() as session:
        assert [seen.member_id for seen in system_health.faults(session)] == ["m1", "m2"]
    assert scene.mails() == [KAFKA]


def test_fault_is_over_when_no_process_has_it(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check("m1")
    scene.check("m2")
    scene.broken.clear()
    scene.check("m1")
    assert scene.mails() == [KAFKA]
    scene.check("m2")
    assert scene.mails() == [KAFKA, f"{KAFKA} is over"]


def test_restarted_process_sends_no_second_mail(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check("m1")
    scene.restart("m1")
    scene.check("m1", times=10)
    assert scene.mails() == [KAFKA]


def test_fault_of_the_database_is_mailed_without_it(scene: Scene) -> None:
    scene.lose_database()
    scene.check(times=20)
    assert [alert.mail.subject for _, alert in scene.direct] == [f"[webhookd] system: {STORE}"]


def test_end_of_the_database_fault_is_mailed_through_the_outbox(scene: Scene) -> None:
    scene.check("m1")
    scene.check("m2")
    scene.lose_database()
    scene.check("m1")
    scene.check("m2")
    scene.find_database()
    scene.check("m1")
    scene.check("m2")
    assert (len(scene.direct), scene.mails()) == (2, [f"{STORE} is over"])


def test_fault_mailed_before_the_database_fault_is_not_mailed_again(scene: Scene) -> None:
    scene.broken.add(KAFKA)
    scene.check()
    scene.lose_database()
    scene.check()
    assert [alert.subject_key for _, alert in scene.direct] == [f"fault:{STORE}"]
    scene.broken.discard(KAFKA)
    scene.check()
    scene.find_database()
    scene.check()
    assert [alert.subject_key for _, alert in scene.direct[1:]] == [f"fault:{KAFKA}"]
    assert scene.mails() == [KAFKA, f"{STORE} is over"]


def test_ingest_load_is_stored_with_the_faults(scene: Scene) -> None:
    scene.check(times=1)
    with scene.database.transaction() as session:
        assert system_health.ingest_load(session) == IngestLoad(deliveries_in_flight=3, oldest_unanswered_s=1.5)


def test_check_that_hangs_fails_and_runs_once() -> None:
    asked, go_on = [], Event()

    def hang() -> None:
        asked.append(1)
        go_on.wait(10)

    checks = HealthChecks({"slow": hang, "quick": lambda: None}, deadline_s=0.05)
    answers = [checks.run() for _ in range(3)]
    go_on.set()
    checks.stop()
    assert (answers[2]["quick"], answers[2]["slow"], len(asked)) == (None, "no answer within 0 s", 1)


def test_check_that_could_not_run_is_absent() -> None:
    def queue_is_down() -> None:
        raise QueueUnavailable("refused")

    checks = HealthChecks({NoWorkers.code: queue_is_down, QueueUnavailable.code: queue_is_down})
    assert checks.run() == {QueueUnavailable.code: "refused"}
    checks.stop()


class Waiting(MemoryCoordination):
    """A coordination store in whose queues tasks wait."""

    def queue_lengths(self) -> dict[str, int]:
        return {"webhookd.first": 3, "webhookd.retry": 0}


def test_queue_without_workers_is_a_fault_of_its_own() -> None:
    coordination = Waiting()
    now = [0.0]
    checks = WorkerChecks(coordination, lambda: None, lambda: now[0])
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
    checks.workers_read_store()
    checks.queues_move()
    assert checks.seen is not None
    assert checks.seen.tasks == {"webhookd.first": 3, "webhookd.retry": 0}
    assert checks.seen.workers_by_queue() == {"webhookd.first": 1, "webhookd.retry": 1}
    assert SeenQueues(checks.seen.tasks, []).workers_by_queue() == {"webhookd.first": 0, "webhookd.retry": 0}
    now[0] = 60.0
    with pytest.raises(QueueStalled, match=r"3 tasks wait in webhookd\.first"):
        checks.queues_move()


class Unreadable(Waiting):
    """A coordination store that stops to answer."""

    answers = True

    def live_workers(self) -> list[WorkerHeartbeat]:
        if not self.answers:
            raise QueueUnavailable("refused")
        return super().live_workers()


def test_queues_are_unknown_while_redis_does_not_answer() -> None:
    coordination = Unreadable()
    checks = WorkerChecks(coordination, lambda: None, lambda: 0.0)
    checks.queues_move()
    assert checks.seen is not None
    coordination.answers = False
    with pytest.raises(QueueUnavailable):
        checks.queues_move()
    assert checks.seen is None


def test_worker_without_the_database_or_the_keys_is_a_fault_of_its_own() -> None:
    coordination = MemoryCoordination()
    coordination.write_heartbeat(
        WorkerHeartbeat(
            id="host.1",
            queues=("webhookd.first",),
            threads=4,
            busy=0,
            since_began_s=None,
            since_ended_s=None,
            started_at=0.0,
            store_error="connection refused",
            secrets_error="no key",
        )
    )
    checks = WorkerChecks(coordination, lambda: None, clock.monotonic)
    with pytest.raises(WorkersLackStore, match=r"^host\.1: connection refused$"):
        checks.workers_read_store()
    with pytest.raises(WorkersLackKeys, match=r"^host\.1: no key$"):
        checks.workers_decrypt()
