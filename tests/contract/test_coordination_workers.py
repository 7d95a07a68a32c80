"""Contract of the coordination store, in memory and in Redis: worker heartbeats and queue lengths.

Oracles: a real Redis, the heartbeats written, and the tasks that Celery published.
"""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from tests.harness.coordination import CoordinationStore, lose_everything
from tests.harness.services import required_service
from webhookd import clock
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.queue_names import FIRST, RETRY
from webhookd.flow.dispatch.worker_heartbeat import WORKER_SILENCE_S, WorkerHeartbeat
from webhookd.settings import Settings
from workers.celery_app import build_celery

PATIENCE_S = 5.0
SILENCE_S = 0.3


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def short_lived(request: pytest.FixtureRequest, prefix: str) -> Iterator[CoordinationStore]:
    """A coordination store in which heartbeats expire after 0.3 s."""
    if request.param == "memory":
        yield MemoryCoordination(worker_silence_s=SILENCE_S)
        return
    url = required_service("redis")
    made = RedisCoordination(parse(url), prefix, worker_silence_s=SILENCE_S)
    yield made
    made.close()
    lose_everything(url, prefix)


def worker(id_: str = "host.1.a", *, busy: int = 3, began_s: float | None = 0.5) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        id=id_,
        queues=(FIRST, RETRY),
        threads=256,
        busy=busy,
        since_began_s=began_s,
        since_ended_s=None,
        started_at=1_700_000_000.5,
    )


def alive(coordination: CoordinationStore) -> list[WorkerHeartbeat]:
    """The workers' heartbeats, without their age."""
    return [replace(one, silent_s=0.0) for one in coordination.live_workers()]


def test_worker_with_a_heartbeat_is_listed(coordination: CoordinationStore) -> None:
    coordination.write_heartbeat(worker())
    (found,) = coordination.live_workers()
    assert 0.0 <= found.silent_s < PATIENCE_S
    assert replace(found, silent_s=0.0) == worker()


def test_last_heartbeat_of_a_worker_counts(coordination: CoordinationStore) -> None:
    coordination.write_heartbeat(worker(busy=1, began_s=None))
    coordination.write_heartbeat(worker(busy=256, began_s=7.25))
    assert alive(coordination) == [worker(busy=256, began_s=7.25)]


def test_workers_are_listed_by_id(coordination: CoordinationStore) -> None:
    for id_ in ("c", "a", "b"):
        coordination.write_heartbeat(worker(id_))
    assert [one.id for one in coordination.live_workers()] == ["a", "b", "c"]


def test_withdrawn_worker_is_gone_at_once(coordination: CoordinationStore) -> None:
    coordination.write_heartbeat(worker("a"))
    coordination.write_heartbeat(worker("b"))
    coordination.remove_heartbeat("a")
    coordination.remove_heartbeat("unknown")
    assert alive(coordination) == [worker("b")]


def test_no_worker_is_listed_before_a_heartbeat(coordination: CoordinationStore) -> None:
    assert coordination.live_workers() == []


def test_worker_without_heartbeat_is_dropped_alone(short_lived: CoordinationStore) -> None:
    deadline = clock.monotonic() + PATIENCE_S
    short_lived.write_heartbeat(worker("silent"))
    assert [one.id for one in short_lived.live_workers()] == ["silent"]
    while "silent" in [one.id for one in short_lived.live_workers()]:
        assert clock.monotonic() < deadline
        short_lived.write_heartbeat(worker("speaks"))
    assert [one.id for one in short_lived.live_workers()] == ["speaks"]


def test_silence_is_measured_in_seconds(short_lived: CoordinationStore) -> None:
    short_lived.write_heartbeat(worker())
    silences = [0.0]
    while found := short_lived.live_workers():
        silences.append(found[0].silent_s)
    assert silences == sorted(silences)
    assert SILENCE_S / 2 < silences[-1] <= SILENCE_S


def test_worker_is_listed_again_after_redis_lost_everything(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    redis_coordination.write_heartbeat(worker())
    lose_everything(redis_url, prefix)
    assert redis_coordination.live_workers() == []
    redis_coordination.write_heartbeat(worker())
    assert alive(redis_coordination) == [worker()]


def test_undecodable_heartbeat_does_not_hide_the_others(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    redis_coordination.write_heartbeat(worker())
    with Redis.from_url(redis_url) as client:
        stamp = client.hget(f"{prefix}workers", worker().id).partition(b"|")[0]
        client.hset(f"{prefix}workers", "other", stamp + b"|of another version")
        client.hset(f"{prefix}workers", "third", b"neither")
    assert alive(redis_coordination) == [worker()]


def test_queue_length_is_what_celery_published(
    redis_coordination: RedisCoordination, redis_url: str, prefix: str
) -> None:
    assert redis_coordination.queue_lengths() == {FIRST: 0, RETRY: 0}
    settings = Settings.model_validate({"redis_url": redis_url, "redis_key_prefix": prefix})
    with build_celery(settings) as app:
        for queue in (FIRST, RETRY, FIRST):
            app.send_task("of.nobody", queue=queue)
    assert redis_coordination.queue_lengths() == {FIRST: 2, RETRY: 1}


def test_heartbeats_expire(redis_coordination: RedisCoordination, redis_url: str, prefix: str) -> None:
    redis_coordination.write_heartbeat(worker())
    with Redis.from_url(redis_url) as client:
        assert 0 < client.pttl(f"{prefix}workers") <= WORKER_SILENCE_S * 1000


def _ask_everything(unreachable: RedisCoordination) -> Iterator[None]:
    with pytest.raises(QueueUnavailable):
        unreachable.write_heartbeat(worker())
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.remove_heartbeat("host.1.a")
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.live_workers()
    yield
    with pytest.raises(QueueUnavailable):
        unreachable.queue_lengths()
    yield


def test_unreachable_redis_is_reported_soon(prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    unreachable = RedisCoordination(parse(f"redis://127.0.0.1:{port}/0"), prefix)
    began = clock.monotonic()
    assert len(list(_ask_everything(unreachable))) == 4
    assert clock.monotonic() - began < PATIENCE_S
    unreachable.close()
