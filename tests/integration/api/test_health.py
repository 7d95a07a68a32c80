"""Alive is not ready: each outside system is named, and none can hold the answer up."""

import threading

from flask import Flask
from flask.testing import FlaskClient

from api.application import create_app
from api.resources.health.readiness import Readiness
from webhookd.edges.announcements import Announcer
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_offsets import MemoryOffsets


def test_a_process_is_alive_whatever_else_is_not(settings: Settings, kafka: MemoryOffsets) -> None:
    kafka.away = True
    answer = nobody_there(settings, kafka).test_client().get("/health")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_ready_when_everything_answers(client: FlaskClient) -> None:
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "ok", "checks": {"database": "ok", "queue": "ok", "kafka": "ok"}},
    )


def test_each_failed_system_is_named(client: FlaskClient, kafka: MemoryOffsets) -> None:
    kafka.away = True
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["checks"]) == (
        503,
        {"database": "ok", "queue": "ok", "kafka": "failed"},
    )


def test_not_ready_when_nothing_answers(settings: Settings, kafka: MemoryOffsets) -> None:
    kafka.away = True
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
    assert (answers, len(asked)) == ([{"slow": False, "quick": True}] * 3, 1)


def test_a_check_that_breaks_counts_as_failed() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    assert Readiness({"broken": broken, "well": lambda: None}).ask() == {"broken": False, "well": True}


def test_a_missing_store_is_unavailable_not_broken(settings: Settings, kafka: MemoryOffsets) -> None:
    answer = nobody_there(settings, kafka).test_client().get("/1/Subscription")
    assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (
        503,
        "store_unavailable",
        "1",
    )


def nobody_there(settings: Settings, kafka: MemoryOffsets) -> Flask:
    """An application whose database and queue run nowhere."""
    return create_app(
        settings,
        database=Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"),
        kafka_offsets=kafka,
        announcer=Announcer("redis://127.0.0.1:1/0"),
    )
