"""Alive is not ready: each outside system is named, and none can hold the answer up."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update

from api.application import create_app
from api.ports import ChangeNotifications, Coordination
from api.resources.health.health_report import CoordinationResult, DatabaseResult, HealthReport
from api.resources.health.readiness import Readiness
from tests.harness.subscriptions import subscription
from webhookd import clock
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_url import parse
from webhookd.errors import KafkaUnavailable, QueueUnavailable, StoreUnavailable
from webhookd.flow.alerting.mail import MailResult, RecipientResult
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.control.membership import Member
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.monitoring.system_faults import SystemFault
from webhookd.settings import Settings
from webhookd.store import ingest_members, mail_failures, subscriptions, system_health
from webhookd.store.database import Database
from webhookd.store.schema import REVISION
from webhookd.store.system_health import IngestLoad
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin


def test_a_process_is_alive_whatever_else_is_not(settings: Settings, kafka: MemoryKafkaAdmin) -> None:
    kafka.down = True
    answer = nobody_there(settings, kafka).test_client().get("/health")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")
    assert [fault["code"] for fault in answer.get_json()["faults"]] == ["store_unavailable", "queue_unavailable"]


def test_healthy_when_ingest_is_and_sees_no_fault(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="m1"))
        system_health.heartbeat(
            session, "m1", IngestLoad(deliveries_in_flight=3, oldest_unanswered_s=1.5, longest_iteration_s=0.4)
        )
    assert client.get("/health").get_json() == {
        "status": "ok",
        "warnings": ["WEBHOOKD_API_AUTH is none: whoever reaches the API is an admin"],
        "offline": None,
        "faults": [],
        "subscriptions": {
            "total": 0,
            "healthy": 0,
            "failing": 0,
            "unhealthy": 0,
            "inactive": 0,
            "circuit_open": 0,
            "unhealthy_by_reason": {},
            "inactive_by_reason": {},
        },
        "workers": [],
        "queues": {},
        "undeliverable_addresses": 0,
        "deliveries_in_flight": 3,
        "oldest_unanswered_s": 1.5,
        "longest_iteration_s": 0.4,
    }


def test_faults_that_ingest_sees_are_shown(client: FlaskClient, database: Database) -> None:
    fault = SystemFault(code="queue_unavailable", detail="connection refused", since=1_700_000_000.0)
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="m1"))
        system_health.report(session, "m1", [fault])
    answer = client.get("/health")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")
    assert answer.get_json()["faults"] == [
        {
            "code": "queue_unavailable",
            "since": "2023-11-14T22:13:20.000Z",
            "detail": "connection refused",
            "member": "m1",
        }
    ]


def test_kafka_is_blamed_when_no_ingest_process_can_report_it(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    kafka.down = True
    faults = client.get("/health").get_json()["faults"]
    assert [(fault["code"], fault["member"]) for fault in faults] == [
        ("kafka_unavailable", "api"),
        ("no_ingest", "api"),
    ]


def test_live_ingest_process_knows_better_whether_kafka_answers(
    client: FlaskClient, kafka: MemoryKafkaAdmin, database: Database
) -> None:
    kafka.down = True
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="m1"))
    assert client.get("/health").get_json()["faults"] == []


def test_not_ready_when_either_redis_library_cannot_write(
    settings: Settings, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    notifier = ChangeNotifier(parse("memory://"))
    app = create_app(settings, database=database, kafka_offsets=kafka, notifier=notifier, coordination=Replica())
    answer = app.test_client().get("/ready").get_json()
    assert (answer["checks"]["queue"], "READONLY" in answer["details"]["queue"]) == ("failed", True)


def test_missing_ingest_is_a_fault(client: FlaskClient) -> None:
    assert [fault["code"] for fault in client.get("/health").get_json()["faults"]] == ["no_ingest"]


def test_offline_is_not_ok_and_says_since_when(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="m1"))
        subscriptions.insert(session, subscription())
    client.post("/1/EventNotificationAdmin", json={"status": "offline", "offline_message": "moving house"})
    answer = client.get("/health")
    shown = answer.get_json()
    assert (answer.status_code, shown["status"], shown["faults"]) == (200, "offline", [])
    assert (shown["offline"]["message"], shown["offline"]["since"][-1]) == ("moving house", "Z")
    assert shown["subscriptions"]["inactive_by_reason"] == {"offline": 1}


def test_change_that_no_ingest_process_begins_with_is_a_fault(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="m1"))
        subscriptions.insert(session, subscription())
        session.execute(update(SubscriptionRow).values(changed_at=1.0))
    assert [fault["code"] for fault in client.get("/health").get_json()["faults"]] == ["subscriptions_not_started"]


def test_workers_and_queues_are_shown(settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> None:
    coordination = MemoryCoordination()
    coordination.write_heartbeat(worker("first.host.1"))
    app = create_app(
        settings,
        database=database,
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("memory://")),
        coordination=coordination,
    )
    [shown] = app.test_client().get("/health").get_json()["workers"]
    assert (shown["id"], shown["queues"], shown["threads"], shown["busy"]) == ("first.host.1", ["webhookd.first"], 8, 2)


class Replica(MemoryCoordination):
    """A coordination store that answers reads and refuses writes."""

    def ping(self) -> None:
        raise QueueUnavailable("READONLY You can't write against a read only replica.")


def test_queue_that_answers_and_takes_no_writes_is_a_fault(
    settings: Settings, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    notifier = ChangeNotifier(parse("memory://"))
    app = create_app(settings, database=database, kafka_offsets=kafka, notifier=notifier, coordination=Replica())
    shown = app.test_client().get("/health").get_json()
    assert shown["status"] == "degraded"
    assert ["READONLY" in fault["detail"] for fault in shown["faults"] if fault["code"] == "queue_unavailable"] == [
        True
    ]


class NobodyListens:
    """Change notifications whose library cannot connect to the Redis that the coordination store reaches."""

    def publish(self, notification: ChangeNotification) -> None:
        """Fail as `ping` does."""
        raise QueueUnavailable(f"certificate refused: {notification}")

    def ping(self) -> None:
        """Raises QueueUnavailable."""
        raise QueueUnavailable("certificate refused")


@pytest.mark.parametrize(
    ("notifier", "coordination", "detail"),
    [
        (ChangeNotifier(parse("memory://")), Replica(), "READONLY"),
        (NobodyListens(), MemoryCoordination(), "certificate refused"),
    ],
)
def test_redis_that_only_one_library_can_use_is_not_ready(
    settings: Settings,
    database: Database,
    kafka: MemoryKafkaAdmin,
    notifier: ChangeNotifications,
    coordination: Coordination,
    detail: str,
) -> None:
    app = create_app(settings, database=database, kafka_offsets=kafka, notifier=notifier, coordination=coordination)
    ready, health = (app.test_client().get(path) for path in ("/ready", "/health"))
    assert (ready.status_code, ready.get_json()["checks"]["queue"]) == (503, "failed")
    faults = {fault["code"]: fault["detail"] for fault in health.get_json()["faults"]}
    assert detail in faults["queue_unavailable"]


def test_question_that_hangs_holds_up_no_answer() -> None:
    go_on = threading.Event()

    def hang() -> DatabaseResult:
        go_on.wait(10)
        raise StoreUnavailable

    report = report_on(hang)
    answers = [report.read()["faults"] for _ in range(3)]
    go_on.set()
    codes = [[(fault["code"], fault["detail"]) for fault in faults] for faults in answers]
    assert codes == [[("store_unavailable", "no answer in time")]] * 3


def test_answer_is_good_for_a_second_and_says_since_when() -> None:
    now, asked = [100.0], []

    def away() -> DatabaseResult:
        asked.append(now[0])
        raise StoreUnavailable("refused")

    report = report_on(away, lambda: now[0])
    since = []
    for now[0] in (100.0, 100.9, 101.0, 130.0):
        [fault] = report.read()["faults"]
        since.append(fault["since"])
    assert (asked, since) == ([100.0, 101.0, 130.0], ["1970-01-01T00:01:40.000Z"] * 4)


def test_question_that_breaks_is_a_fault_without_its_cause() -> None:
    def broken() -> DatabaseResult:
        raise ZeroDivisionError("a secret")

    [fault] = report_on(broken).read()["faults"]
    assert (fault["code"], "secret" in fault["detail"]) == ("store_unavailable", False)


def report_on(stored: Callable[[], DatabaseResult], now: Callable[[], float] = clock.monotonic) -> HealthReport:
    return HealthReport(
        stored,
        lambda: CoordinationResult(workers=(), queues={}),
        lambda: None,
        monotonic=now,
        wall_clock=now,
        deadline_s=0.2,
    )


def worker(id_: str) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        id=id_,
        queues=("webhookd.first",),
        threads=8,
        busy=2,
        since_began_s=0.5,
        since_ended_s=None,
        started_at=0.0,
    )


def test_ready_when_everything_answers(client: FlaskClient) -> None:
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "ok", "checks": {"database": "ok", "queue": "ok", "kafka": "ok"}, "details": {}},
    )


def test_each_failed_system_is_named(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    kafka.down = True
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()) == (
        503,
        {
            "status": "failed",
            "checks": {"database": "ok", "queue": "ok", "kafka": "failed"},
            "details": {"kafka": f"kafka_unavailable: {KafkaUnavailable()}"},
        },
    )


def test_not_ready_with_the_schema_of_another_version(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    try:
        answer = client.get("/ready")
    finally:
        with database.transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :needed"), {"needed": REVISION})
    assert answer.status_code == 503
    assert answer.get_json()["details"]["database"].startswith("schema_mismatch: the database is at revision 0003")


def test_not_ready_on_another_cluster(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    assert client.get("/ready").status_code == 200
    kafka.cluster = "replaced"
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["checks"]["kafka"]) == (503, "failed")


def test_addresses_that_alerts_do_not_get_to_are_counted(client: FlaskClient, database: Database) -> None:
    refused = RecipientResult(recipient="a@example.com", result=MailResult.REFUSED)
    with database.transaction() as session:
        mail_failures.note(session, "some-subscription", [refused], clock.wall_clock())
    assert client.get("/health").get_json()["undeliverable_addresses"] == 1


def test_not_ready_when_nothing_answers(settings: Settings, kafka: MemoryKafkaAdmin) -> None:
    kafka.down = True
    answer = nobody_there(settings, kafka).test_client().get("/ready")
    assert (answer.status_code, set(answer.get_json()["checks"].values())) == (503, {"failed"})


def test_a_system_that_hangs_is_asked_by_one_thread_only() -> None:
    asked, go_on = [], threading.Event()

    def hang() -> None:
        asked.append(1)
        go_on.wait(10)

    readiness = Readiness({"slow": hang, "quick": lambda: None}, deadline_s=0.05)
    answers = [readiness.ask() for _ in range(3)]
    go_on.set()
    assert (answers, len(asked)) == ([{"slow": "no answer within 0.05 s", "quick": None}] * 3, 1)


def test_a_check_that_breaks_counts_as_failed() -> None:
    def broken() -> None:
        raise ZeroDivisionError("a secret")

    answers = Readiness({"broken": broken, "well": lambda: None}).ask()
    assert answers == {"broken": "the check failed; the log has the error", "well": None}


def test_a_missing_store_is_unavailable_not_broken(settings: Settings, kafka: MemoryKafkaAdmin) -> None:
    answer = nobody_there(settings, kafka).test_client().get("/1/Subscription")
    assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (
        503,
        "store_unavailable",
        "1",
    )


def nobody_there(settings: Settings, kafka: MemoryKafkaAdmin) -> Flask:
    """An application whose database and queue run nowhere."""
    return create_app(
        settings,
        database=Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"),
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("redis://127.0.0.1:1/0")),
    )
