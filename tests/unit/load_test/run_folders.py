"""Folders of runs as a load test leaves them: good, failed, partial, long, and with many subscriptions.

The figures are drawn from a seed, and written with the load test's own structs and writers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from webhookd_load_test.run_folder import facts as run_facts
from webhookd_load_test.run_folder import result as run_result
from webhookd_load_test.run_folder import samples as run_samples
from webhookd_load_test.run_folder.facts import Event, Headroom, RunFacts, RunSubscription
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.result import (
    Disorder,
    Latency,
    Missing,
    PublishResult,
    Result,
    Second,
    SubscriptionResult,
)
from webhookd_load_test.run_folder.samples import ProcessSample, Sample

BEGAN_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
MEBIBYTE = 1024 * 1024

EVENTS = [
    ("broker", 10.0, 16.2, "broker 4 added, 6 partitions moved to it"),
    ("process", 20.0, 20.9, "workers scaled from 1 to 3"),
    ("broker", 28.0, 0.0, "broker 2 killed"),
    ("broker", 38.0, 41.5, "broker 2 started again"),
    ("process", 42.0, 0.0, "ingest 1 killed"),
    ("process", 43.5, 44.1, "ingest 1 started again"),
    ("broker", 48.0, 55.8, "broker 4 drained, stopped and unregistered"),
]


@dataclass(frozen=True)
class Shape:
    """What differs between the runs."""

    name: str
    lasts_s: int
    per_s: float
    subscriptions: int = 3
    processes: tuple[str, ...] = ("ingest-1", "ingest-2", "worker-1", "worker-2", "worker-3", "kafka-1", "receiver-1")


SEED = Shape("seed", 70, 17.0)
SOAK = Shape("soak", 3600, 200.0)
MANY = Shape("many-subscriptions", 120, 1.0, subscriptions=1000)


def good(folder: Path) -> RunFolder:
    """A run that lost nothing, with brokers added and killed."""
    return _written(folder, facts(SEED), result(SEED, disturbed=True), samples(SEED))


def failed(folder: Path) -> RunFolder:
    """A run in which records are missing, came late, and arrived that nobody wanted."""
    found = result(SEED, disturbed=True)
    first, second, *others = found.subscriptions
    first = msgspec.structs.replace(
        first,
        delivered=first.expected - 3,
        lost=3,
        missing=[Missing(number=n, topic="load-1", partition=n % 4, offset=n * 7) for n in (211, 212, 640)],
    )
    second = msgspec.structs.replace(
        second,
        disorders=1,
        unexpected=2,
        key_disorders=1,
        disorder=[
            Disorder(number=90, topic="load-2", partition=1, offset=30, after_offset=32, by="partition"),
            Disorder(number=90, topic="load-2", partition=1, offset=30, after_offset=31, by="key"),
        ],
    )
    faults = [
        "3 of 1,190 records of orders-eu are missing.",
        "1 record of payments came after a later one of its key.",
        "2 records of payments were not wanted.",
        "worker-2: resident memory grew by 41 MiB in the second half of the run.",
    ]
    known = msgspec.structs.replace(found, passed=False, faults=faults, subscriptions=[first, second, *others])
    told = facts(SEED)
    told.headroom = Headroom(
        producer_per_s=52_000, receiver_per_s=61.0, needed_producer_per_s=17.0, needed_receiver_per_s=51.0
    )
    told.flat = {"worker-2": "resident memory grew by 41 MiB in the second half"}
    return _written(folder, told, known, samples(SEED))


def partial(folder: Path) -> RunFolder:
    """A run that was interrupted, and that nobody has compared."""
    told = facts(SEED)
    told.complete, told.reason, told.ended_ns = False, "interrupted by SIGINT", 0
    told.published_ns = 0
    told.events = told.events[:3]
    return _written(folder, told, None, samples(SEED)[:31])


def soak(folder: Path) -> RunFolder:
    """A run of an hour."""
    return _written(folder, facts(SOAK), result(SOAK, disturbed=False), samples(SOAK))


def many(folder: Path) -> RunFolder:
    """A run with a thousand subscriptions."""
    return _written(folder, facts(MANY), result(MANY, disturbed=True), samples(MANY))


def _written(folder: Path, told: RunFacts, found: Result | None, taken: list[Sample]) -> RunFolder:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run_facts.write(run.facts, told)
    if found is not None:
        run_result.write(run.result, found)
    for sample in taken:
        run_samples.append(run.samples, sample)
    return run


def facts(shape: Shape) -> RunFacts:
    ratio = shape.lasts_s / 70
    return RunFacts(
        scenario=shape.name,
        summary="Three topics, a thousand rows in a minute, while the Kafka cluster grows and shrinks.",
        began_ns=BEGAN_NS,
        published_ns=BEGAN_NS + int(0.86 * shape.lasts_s) * SECOND_NS,
        ended_ns=BEGAN_NS + shape.lasts_s * SECOND_NS,
        complete=True,
        partitions={"load-1": 4, "load-2": 4, "load-3": 4},
        subscriptions=[RunSubscription(id=f"s{n}", name=name(n), path=f"/{n}", topics=["load-1"]) for n in range(3)],
        events=[
            Event(
                kind=kind,  # type: ignore[arg-type]  # a literal of the list above
                at_ns=BEGAN_NS + int(at_s * ratio * SECOND_NS),
                until_ns=BEGAN_NS + int(until_s * ratio * SECOND_NS) if until_s else 0,
                text=text,
            )
            for kind, at_s, until_s, text in EVENTS
        ],
        settings={
            "load.rows": "1000",
            "load.duration_s": "60.0",
            "load.topics": "3",
            "stack.brokers": "3",
            "stack.workers": "1",
            "bounds.drain_s": "120.0",
        },
        versions={"webhookd": "0.9.0", "Python": "3.11.7", "Kafka": "4.1.0", "Redis": "7.0.15", "librdkafka": "2.16.1"},
        machine={"processor": "AMD EPYC 7B13, 2 cores", "memory": "7.8 GiB", "system": "Linux 6.6, Debian 12"},
        headroom=Headroom(
            producer_per_s=52_000, receiver_per_s=2_450, needed_producer_per_s=17.0, needed_receiver_per_s=51.0
        ),
    )


def name(number: int) -> str:
    return ("orders-eu", "payments", "audit-log")[number] if number < 3 else f"subscription-{number}"


def result(shape: Shape, *, disturbed: bool) -> Result:
    random = Random(7)  # noqa: S311  # the same figures each time; nothing is secret
    seconds = list(_seconds(shape, random, disturbed=disturbed))
    expected = sum(second.published for second in seconds)
    subscriptions = [
        _subscription(number, expected, random, disturbed=disturbed) for number in range(shape.subscriptions)
    ]
    return Result(
        passed=True,
        faults=[],
        publish=PublishResult(records=expected, not_acknowledged=0, late_p50_ms=0.4, late_p99_ms=3.2, late_max_ms=18.0),
        subscriptions=subscriptions,
        latency=latency(31.0),
        throughput_per_s=shape.per_s * shape.subscriptions,
        seconds=seconds,
    )


def latency(p50_ms: float) -> Latency:
    return Latency(
        min_ms=p50_ms * 0.3,
        average_ms=p50_ms * 1.6,
        max_ms=p50_ms * 190,
        p50_ms=p50_ms,
        p90_ms=p50_ms * 2.2,
        p99_ms=p50_ms * 41,
        p999_ms=p50_ms * 150,
    )


def _subscription(number: int, expected: int, random: Random, *, disturbed: bool) -> SubscriptionResult:
    duplicates = random.choice((0, 0, 0, 2, 5)) if disturbed else 0
    return SubscriptionResult(
        id=f"s{number}",
        name=name(number),
        expected=expected,
        delivered=expected,
        lost=0,
        unexpected=0,
        duplicates=duplicates,
        disorders=0,
        invalid_signatures=0,
        latency=latency(random.uniform(20, 45)),
        longest_stall_s=random.uniform(0.5, 9.5),
        longest_stall_lane=f"load-{number % 3 + 1}/{number % 4}",
    )


def _seconds(shape: Shape, random: Random, *, disturbed: bool) -> Iterator[Second]:
    waiting = 0.0
    for at_s in range(shape.lasts_s):
        part = at_s / shape.lasts_s
        published = _around(random, shape.per_s) if part < 0.86 else 0
        stalled = disturbed and 0.40 < part < 0.47
        waiting += published * shape.subscriptions
        received = int(min(waiting, shape.per_s * shape.subscriptions * (0.05 if stalled else 3.0)))
        waiting -= received
        slow = 40.0 if disturbed and 0.40 < part < 0.55 else 1.0
        middle = random.uniform(24, 36) * slow
        yield Second(
            at_s=at_s,
            published=published,
            received=received,
            duplicates=random.randint(0, 6) if disturbed and 0.47 < part < 0.5 else 0,
            refused=random.randint(1, 9) if disturbed and 0.6 < part < 0.64 else 0,
            latency_p50_ms=middle if received else None,
            latency_p90_ms=middle * random.uniform(1.5, 2.5) if received else None,
            latency_p99_ms=middle * random.uniform(3, 9) if received else None,
        )


def _around(random: Random, mean: float) -> int:
    return max(0, round(random.gauss(mean, math.sqrt(mean))))


def samples(shape: Shape) -> list[Sample]:
    random = Random(11)  # noqa: S311  # as above
    published = received = 0
    taken = []
    for at_s in range(shape.lasts_s):
        part = at_s / shape.lasts_s
        published += _around(random, shape.per_s) if part < 0.86 else 0
        received = min(published * shape.subscriptions, received + int(shape.per_s * shape.subscriptions * 1.2))
        lag = 600 * math.sin(math.pi * (part - 0.4) / 0.2) if 0.4 < part < 0.6 else random.uniform(0, 20)
        taken.append(
            Sample(
                at_ns=BEGAN_NS + at_s * SECOND_NS + 40_000_000,
                processes={name: _process(name, number, at_s, part, random) for number, name in _alive(shape, part)},
                published=published,
                received=received,
                lag=int(lag),
            )
        )
    return taken


def _alive(shape: Shape, part: float) -> Iterator[tuple[int, str]]:
    for number, name in enumerate(shape.processes):
        later = name in ("worker-2", "worker-3") and part < 0.29
        killed = name == "ingest-1" and 0.6 < part < 0.62
        if not (later or killed):
            yield number, name


def _process(name: str, number: int, at_s: int, part: float, random: Random) -> ProcessSample:
    kafka = name.startswith("kafka")
    resident = (420 if kafka else 78 + 9 * number) * (1 - 0.25 * math.exp(-part * 12)) + random.uniform(0, 2)
    lives_s = at_s * (1 - 0.62 / part) if name == "ingest-1" and part >= 0.62 else at_s
    return ProcessSample(
        cpu_s=lives_s * (0.05 + 0.03 * number) + random.uniform(0, 0.02),
        resident_bytes=int(resident * MEBIBYTE),
        descriptors=(210 if kafka else 28 + 6 * number) + random.randint(0, 3),
    )
