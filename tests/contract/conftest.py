"""The boards that the contract suites are held against."""

import uuid
from collections.abc import Iterator

import pytest

from tests.harness.coordination import Board, lose_everything
from tests.harness.services import required_service
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination


@pytest.fixture
def prefix() -> str:
    """What every key of this test starts with."""
    return f"board-test:{uuid.uuid4().hex}:"


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def coordination(request: pytest.FixtureRequest, prefix: str) -> Iterator[Board]:
    """A board that holds nothing."""
    if request.param == "memory":
        yield MemoryCoordination()
        return
    url = required_service("redis")
    made = RedisCoordination(url, prefix)
    yield made
    made.close()
    lose_everything(url, prefix)


@pytest.fixture
def redis_coordination(redis_url: str, prefix: str) -> Iterator[RedisCoordination]:
    """The board in Redis, for what only Redis can do."""
    made = RedisCoordination(redis_url, prefix)
    yield made
    made.close()
    lose_everything(redis_url, prefix)
