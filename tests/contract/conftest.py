"""The coordination stores that the contract suites test."""

import uuid
from collections.abc import Iterator

import pytest

from tests.harness.coordination import CoordinationStore, lose_everything
from tests.harness.services import required_service
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse


@pytest.fixture
def prefix() -> str:
    """The prefix of all keys of this test."""
    return f"coordination-test:{uuid.uuid4().hex}:"


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def coordination(request: pytest.FixtureRequest, prefix: str) -> Iterator[CoordinationStore]:
    """An empty coordination store: in memory, then in Redis."""
    if request.param == "memory":
        yield MemoryCoordination()
        return
    url = required_service("redis")
    made = RedisCoordination(parse(url), prefix)
    yield made
    made.close()
    lose_everything(url, prefix)


@pytest.fixture
def redis_coordination(redis_url: str, prefix: str) -> Iterator[RedisCoordination]:
    """An empty coordination store in Redis, for tests of what only Redis can do."""
    made = RedisCoordination(parse(redis_url), prefix)
    yield made
    made.close()
    lose_everything(redis_url, prefix)
