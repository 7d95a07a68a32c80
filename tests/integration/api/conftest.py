"""The API of one test: SQLite in a file, Kafka's offsets and announcements in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.extensions.authentication import authenticator_of
from tests.harness.api_apps import new_app
from tests.harness.api_callers import Callers, callers
from tests.harness.databases import emptied, new_database
from tests.harness.openapi_answers import every_answer_documented
from tests.harness.secret_keys import SECRET_KEYS
from webhookd.settings import Settings
from webhookd.store import migrating
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

LAST_USE_S = 10.0
"""A write of a key's last use ends within this time."""


@pytest.fixture(scope="session")
def migrated_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated SQLite file of this session."""
    folder: Path = tmp_path_factory.mktemp("api")
    with new_database("sqlite", folder) as url:
        migrating.upgrade(url)
        yield url


@pytest.fixture(scope="session")
def session_database(migrated_url: str) -> Database:
    """The database of this session, opened once."""
    return Database(migrated_url, secret_keys=SECRET_KEYS)


@pytest.fixture
def database(session_database: Database) -> Iterator[Database]:
    """The database without a row."""
    with emptied(session_database) as database:
        yield database


@pytest.fixture
def kafka() -> MemoryKafkaAdmin:
    """Kafka with one topic, and one for dead letters."""
    return MemoryKafkaAdmin({"orders": {0: 5, 1: 7}, "orders.dead": {0: 0}})


@pytest.fixture
def settings() -> Settings:
    """The defaults without API keys, and with a body limit that a test can exceed quickly."""
    return Settings(redis_url="memory://", api_auth="none", api_body_bytes=20_000)


@pytest.fixture
def app(settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> Iterator[Flask]:
    """The application under test. Each of its answers is compared with its OpenAPI document."""
    made = new_app(settings, database, kafka)
    with every_answer_documented(made):
        yield made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """What sends the requests; an error inside the application is answered as to a real client."""
    return app.test_client()


@pytest.fixture
def keyed_settings(settings: Settings) -> Settings:
    """The same settings with API keys, as in production."""
    return settings.model_copy(update={"api_auth": "keys"})


@pytest.fixture
def keyed_app(keyed_settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> Iterator[Flask]:
    """The application with API keys."""
    built = new_app(keyed_settings, database, kafka)
    yield built
    authenticator_of(built).last_use.settle(LAST_USE_S)


@pytest.fixture
def asked(keyed_app: Flask, database: Database) -> Callers:
    """What sends requests as callers of every kind."""
    return callers(keyed_app.test_client(), database)
