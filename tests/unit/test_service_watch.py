"""The watch of absent services: its lines, and what it tells the folding of lines. The clock is moved."""

import pytest
from structlog.testing import capture_logs

from webhookd.errors import QueueUnavailable
from webhookd.line_folding import LineFolding
from webhookd.service_watch import ServiceWatch, WatchedService, watched_database, watched_kafka, watched_redis
from webhookd.settings import Settings

CODE = QueueUnavailable.code


class Redis:
    """A Redis that is absent until the test says otherwise."""

    def __init__(self) -> None:
        self.present = False

    def ping(self) -> None:
        """Raises QueueUnavailable while it is absent."""
        if not self.present:
            raise QueueUnavailable("Connection refused")


class Scene:
    """A watch of one Redis."""

    def __init__(self) -> None:
        self.now = 50.0
        self.redis = Redis()
        self.folding = LineFolding(lambda: self.now)
        self.service = watched_redis(Settings(redis_url="redis://:secret@redis:6379/0"), self.redis.ping)
        self.watch = ServiceWatch([self.service], folding=self.folding, monotonic=lambda: self.now)

    def check(self) -> list[str]:
        """Check once; returns the events that were logged."""
        with capture_logs() as lines:
            self.watch.check(self.service)
        return [line["event"] for line in lines]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_absence_names_the_service_its_address_and_the_cause_without_the_password(scene: Scene) -> None:
    with capture_logs() as lines:
        scene.watch.check(scene.service)
    assert lines == [
        {
            "event": "waiting_for_service",
            "log_level": "warning",
            "module": "webhookd.service_watch",
            "service": "redis",
            "address": "redis://:****@redis:6379/0",
            "setting": "WEBHOOKD_REDIS_URL",
            "code": CODE,
            "detail": "Connection refused",
            "since_s": 0.0,
        }
    ]


def test_one_line_until_the_reminder_and_one_at_the_end(scene: Scene) -> None:
    said = [scene.check() for _ in range(3)]
    scene.now += 10.0
    said.append(scene.check())
    scene.redis.present = True
    said += [scene.check() for _ in range(2)]
    assert said == [["waiting_for_service"], [], [], ["waiting_for_service"], ["service_available"], []]


def test_threads_check_at_once_and_end(scene: Scene) -> None:
    with capture_logs() as lines:
        scene.watch.start(within_s=30.0)
        scene.watch.stop()
    assert [line["event"] for line in lines] == ["waiting_for_service"]


@pytest.mark.parametrize("service", [watched_kafka, watched_redis, watched_database])
def test_no_address_shows_a_password(service: type) -> None:
    settings = Settings(
        redis_url="redis://:secret@redis/0", database_url="postgresql+psycopg2://user:secret@db/webhookd"
    )
    watched: WatchedService = service(settings, lambda: None)
    assert "secret" not in watched.address
