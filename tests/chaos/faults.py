"""The faults of the services and processes: how each begins and ends, how long it lasts, and what it may cost."""

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from tests.chaos.environment import CLAIM_S, DEADLINE_S, LEASE_S, LONGEST_PROBE_S, MEMBER_S, SESSION_S, Site
from tests.chaos.findings import Cost, Watched
from tests.harness.checking_receiver import Behaviour

START_S = 20.0
"""The start of a process: 3 s on an idle core, more on a busy machine."""

RECONNECT_S = 16.0
"""The time in which Celery's consumer detects a lost Redis and reconnects."""

ELECTION_S = 25.0
"""The controller fences a killed broker after 9 s; then leaders and coordinators move, and clients refresh metadata."""

BROKER_STOP_S = 3.0
"""How long brokers may take to stop in order; the last one cannot, because it has no quorum."""

Action = Callable[[Site, random.Random], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a `part` of the stack; `lasts_s` is its shortest and longest duration."""

    name: str
    part: str
    begin: Action
    end: Action
    lasts_s: tuple[float, float]
    cost: Cost


def _nothing(_site: Site, _chance: random.Random) -> None:
    """Do nothing: the fault ends as soon as it has begun."""


def _kill(name: str) -> Action:
    def action(site: Site, _chance: random.Random) -> None:
        site.down.add(name)
        site.pipeline.kill(name)

    return action


def _start(name: str) -> Action:
    def action(site: Site, _chance: random.Random) -> None:
        site.pipeline.start(name)
        site.down.discard(name)

    return action


def _freeze(name: str) -> Action:
    return lambda site, _chance: site.pipeline.freeze(name)


def _thaw(name: str) -> Action:
    return lambda site, _chance: site.pipeline.thaw(name)


def _redis_starts(site: Site, _chance: random.Random) -> None:
    site.redis.start_again()
    site.redis.wait_ready()


def _flush_redis(site: Site, _chance: random.Random) -> None:
    with Redis.from_url(site.redis.address) as client:
        client.flushall()


def _limit_redis(bytes_: int) -> Action:
    def action(site: Site, _chance: random.Random) -> None:
        with Redis.from_url(site.redis.address) as client:
            client.config_set("maxmemory", bytes_)

    return action


def _postgres_starts(site: Site, _chance: random.Random) -> None:
    site.postgres.start_again()
    site.postgres.wait_ready()


def _kill_broker(site: Site, chance: random.Random) -> None:
    site.kafka.kill_broker(chance.randint(1, 3))


def _stop_brokers(site: Site, _chance: random.Random) -> None:
    for node_id in (1, 2, 3):
        site.kafka.signal_broker(node_id, signal.SIGTERM)
    site.run_for(BROKER_STOP_S)
    for node_id in (1, 2, 3):
        site.kafka.kill_broker(node_id, signal.SIGKILL)


def _brokers_start(site: Site, _chance: random.Random) -> None:
    for node_id in site.kafka.missing:
        site.kafka.start_broker(node_id)
    site.kafka.wait_ready()


WORKER_KILLED = Fault(
    name="worker kill -9",
    part="worker",
    begin=_kill("worker"),
    end=_start("worker"),
    lasts_s=(0.5, 2.0),
    cost=Cost(
        recovery_s=LEASE_S + DEADLINE_S + START_S,
        why="lease + request deadline + start of the next worker",
    ),
)
WORKER_FROZEN = Fault(
    name="worker SIGSTOP past its lease",
    part="worker",
    begin=_freeze("worker"),
    end=_thaw("worker"),
    lasts_s=(6.0, 9.0),
    cost=Cost(
        recovery_s=LEASE_S + DEADLINE_S + CLAIM_S,
        why="the freeze + lease + request deadline + claim",
        later_resends=1,
    ),
)
INGEST_KILLED = Fault(
    name="ingest kill -9",
    part="ingest",
    begin=_kill("ingest"),
    end=_start("ingest"),
    lasts_s=(0.5, 2.0),
    cost=Cost(
        recovery_s=SESSION_S + MEMBER_S + START_S,
        why="the group's session timeout + membership + start of the next process",
        unsettled_while_down=True,
    ),
)
INGEST_FROZEN = Fault(
    name="ingest SIGSTOP past its session",
    part="ingest",
    begin=_freeze("ingest"),
    end=_thaw("ingest"),
    lasts_s=(12.0, 14.0),
    cost=Cost(
        recovery_s=SESSION_S + MEMBER_S,
        why="the freeze + joining the group again + membership",
        later_resends=1,
    ),
)
REDIS_RESTARTED = Fault(
    name="Redis restart",
    part="redis",
    begin=lambda site, _chance: site.redis.stop(),
    end=_redis_starts,
    lasts_s=(1.0, 3.0),
    cost=Cost(
        recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
        why="Celery's reconnect + lease + request deadline",
        later_resends=1,
    ),
)
REDIS_KILLED = Fault(
    name="Redis kill -9",
    part="redis",
    begin=lambda site, _chance: site.redis.kill(),
    end=_redis_starts,
    lasts_s=(0.5, 3.0),
    cost=Cost(
        recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
        why="Celery's reconnect + lease + request deadline",
        later_resends=1,
        lost_writes_s=2.0,  # appendfsync everysec: the last claims and reports may be lost
    ),
)
REDIS_FLUSHED = Fault(
    name="Redis FLUSHALL",
    part="redis",
    begin=_flush_redis,
    end=_nothing,
    lasts_s=(0.0, 0.0),
    cost=Cost(
        recovery_s=LEASE_S + DEADLINE_S + CLAIM_S,
        why="lease + request deadline + claim time-out",
    ),
)
REDIS_FROZEN = Fault(
    name="Redis frozen 20 s",
    part="redis",
    begin=lambda site, _chance: site.redis.child.freeze(),
    end=lambda site, _chance: site.redis.child.thaw(),
    lasts_s=(20.0, 20.0),
    cost=Cost(
        recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
        why="the freeze + Celery's reconnect + lease + request deadline",
        later_resends=1,
    ),
)
REDIS_FULL = Fault(
    name="Redis out of memory",
    part="redis",
    begin=_limit_redis(1),
    end=_limit_redis(0),
    lasts_s=(5.0, 8.0),
    cost=Cost(
        recovery_s=RECONNECT_S + LEASE_S + DEADLINE_S,
        why="the shortage + Celery's reconnect + lease + request deadline",
        later_resends=1,
    ),
)
POSTGRES_STOPPED = Fault(
    name="Postgres stopped for a minute",
    part="postgres",
    begin=lambda site, _chance: site.postgres.stop(),
    end=_postgres_starts,
    lasts_s=(60.0, 60.0),
    cost=Cost(
        recovery_s=MEMBER_S,
        why="deliveries need no database; membership is read again",
        later_resends=1,
        stalls=False,
    ),
)
BROKER_KILLED = Fault(
    name="one of three brokers killed",
    part="kafka",
    begin=_kill_broker,
    end=_brokers_start,
    lasts_s=(12.0, 15.0),
    cost=Cost(
        recovery_s=ELECTION_S,
        why="the broker's session + elections, not the broker's return",
        later_resends=1,
        stalls=False,
    ),
)
BROKERS_RESTARTED = Fault(
    name="all brokers restarted",
    part="kafka",
    begin=_stop_brokers,
    end=_brokers_start,
    lasts_s=(1.0, 3.0),
    cost=Cost(
        recovery_s=ELECTION_S + SESSION_S,
        why="the outage + elections + joining the groups again",
        later_resends=1,
    ),
)

SERVICE_FAULTS = (
    WORKER_KILLED,
    WORKER_FROZEN,
    INGEST_KILLED,
    INGEST_FROZEN,
    REDIS_RESTARTED,
    REDIS_KILLED,
    REDIS_FLUSHED,
    REDIS_FROZEN,
    REDIS_FULL,
    POSTGRES_STOPPED,
    BROKER_KILLED,
    BROKERS_RESTARTED,
)

SECOND_INGEST = Fault(
    name="a second ingest joins, and leaves or is killed",
    part="ingest-2",
    begin=lambda site, _chance: site.pipeline.start("ingest-2"),
    end=lambda site, chance: site.remove_process("ingest-2", kill=chance.random() < 0.5),
    lasts_s=(6.0, 12.0),
    cost=Cost(
        recovery_s=MEMBER_S + SESSION_S,
        why="membership + session timeout",
        later_resends=2,
        aftershock_s=MEMBER_S + SESSION_S,
    ),
)
MOVES = Cost(
    recovery_s=MEMBER_S + SESSION_S,
    why="membership + the group's session timeout",
    stalls=False,
    resends_at_start=False,
    later_resends=1,
    aftershock_s=MEMBER_S,
)
"""Subscriptions move to another process, which may send again what is in flight."""

BAD = [behaviour for behaviour in Behaviour if behaviour not in {Behaviour.ANSWER, Behaviour.GONE}]
"""All behaviours of a receiver that end by themselves."""


def receiver_fault(watched: Watched, behaviour: Behaviour) -> Fault:
    """The receiver of this subscription misbehaves."""
    return Fault(
        name=f"the receiver of {watched.label} {behaviour.value}",
        part=watched.label,
        begin=lambda _site, _chance: watched.receivers[0].behave(behaviour),
        end=lambda _site, _chance: watched.receivers[0].behave(Behaviour.ANSWER),
        lasts_s=(4.0, 12.0),
        cost=Cost(recovery_s=LONGEST_PROBE_S + DEADLINE_S, why="the longest wait for a probe"),
    )
