"""What every test stands on: a wiped environment, markers by what a test asks for, and the real services."""

import os
import signal

import pytest

from tests.harness.services import SERVICES, required_service

FIXTURE_OF_SERVICE = {"kafka": "kafka_bootstrap", "redis": "redis_url", "postgres": "postgres_url"}


def pytest_configure() -> None:
    """Forget the developer's own settings, and end in order (fixtures torn down) when told to."""
    for name in [name for name in os.environ if name.startswith("WEBHOOKD_")]:
        if not name.startswith("WEBHOOKD_TEST_"):
            del os.environ[name]
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the services whose fixtures it asks for, so that `-m 'not kafka'` does what it says."""
    for item in items:
        for service in SERVICES:
            if FIXTURE_OF_SERVICE[service] in getattr(item, "fixturenames", ()):
                item.add_marker(service)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Bootstrap servers of a real Kafka."""
    return required_service("kafka")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of a real Redis."""
    return required_service("redis")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The SQLAlchemy URL of a real Postgres' superuser, in a database that no test may write to."""
    return required_service("postgres")
