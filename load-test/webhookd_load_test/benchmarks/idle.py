"""The command `idle`: the cost of nine hundred idle subscriptions in one ingest process, with a real broker."""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import click

from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.process_usage import wait_until

PER_TOPIC = 10
MOST = 960
"""One ingest process runs no more subscriptions: each has a Kafka client of its own."""

SETTLE_S = 60.0
"""The limit is about subscriptions that have been idle for a minute."""

JOIN_TIMEOUT_S = 180.0
JOINING_PER_S = 30.0
"""Records that show which subscriptions have joined; each record goes to ten of them."""

FIRST_TOPICS = 40
FIRST_PER_S = 4.0
CPU_LIMIT, MEMORY_LIMIT_MB, LATE_LIMIT_MS = 0.5, 1500.0, 250.0
FILES_EACH = 20
"""Open files of one consumer: three connections, and the descriptors that wake its threads."""


@click.command()
@click.option("--subscriptions", type=click.IntRange(PER_TOPIC, MOST), default=900, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Measuring time.",
)
def idle(subscriptions: int, seconds: float) -> None:
    """Measure the cost of nine hundred idle subscriptions in one ingest process, with a real broker.

    It registers the subscriptions over the API, ten on each topic of one partition, lets them idle, and measures CPU
    and memory of ingest and of the broker. Then it produces one record to each of some topics that have been idle for a
    minute, and measures the latency of these first records. The exit code is 1 when a limit is exceeded.
    """
    _allow_files(subscriptions * FILES_EACH)
    end_with(lambda: _idle(subscriptions, seconds))


def _idle(subscriptions: int, seconds: float) -> int:
    with Rig() as rig, rig.receiver() as receiver:
        topics = {f"idle-{number}": 1 for number in range(subscriptions // PER_TOPIC)}
        rig.create_topics(topics)
        with rig.pipeline() as pipeline, _registered(rig, receiver, list(topics)):
            return _measure(rig, pipeline, receiver, (topics, seconds))


def _allow_files(wanted: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < wanted:
        click.echo(f"only {most} open files are allowed (ulimit -Hn); {wanted} may be needed")


@contextmanager
def _registered(rig: Rig, receiver: CheckingReceiver, topics: list[str]) -> Iterator[None]:
    """Register the subscriptions. They end with the pipeline and are not deleted one by one."""
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        wanted = [(topic, f"{receiver.url}{number}") for topic in topics for number in range(PER_TOPIC)]
        list(pool.map(lambda one: rig.subscribe(one[1], one[0], start="latest"), wanted))
    click.echo(f"registered {len(wanted)} subscriptions in {time.monotonic() - began:.0f} s")
    yield


def _measure(rig: Rig, pipeline: Pipeline, receiver: CheckingReceiver, load: tuple[dict[str, int], float]) -> int:
    topics, seconds = load
    with Trickle(rig.kafka.address, topics, JOINING_PER_S) as trickle:
        flowing = wait_until(lambda: len(receiver.report().received_ends) >= PER_TOPIC * len(topics), JOIN_TIMEOUT_S)
    click.echo(f"every subscription has joined and delivered: {flowing}")
    wait_until(lambda: receiver.report().requests >= PER_TOPIC * trickle.produced, JOIN_TIMEOUT_S)
    time.sleep(SETTLE_S)
    start = pipeline.usage(rig.services)
    time.sleep(seconds)
    end = pipeline.usage(rig.services)
    cores = {name: (end.cpu_s[name] - start.cpu_s[name]) / (end.at - start.at) for name in end.cpu_s}
    memory_mb = {name: size / 1e6 for name, size in end.resident_bytes.items()}
    for name, share in cores.items():
        click.echo(f"{name:10}{share:6.2f} cores{memory_mb[name]:8.0f} MB")
    late_ms = _first_records(rig, receiver, list(topics)[:FIRST_TOPICS])
    if late_ms is None:
        click.echo(f"FAILED first records: none of {FIRST_TOPICS} topics' was delivered")
        return 1
    held = cores["ingest"] <= CPU_LIMIT and memory_mb["ingest"] <= MEMORY_LIMIT_MB and late_ms <= LATE_LIMIT_MS
    click.echo(
        f"limits: ingest {CPU_LIMIT} cores, {MEMORY_LIMIT_MB:.0f} MB, {LATE_LIMIT_MS:.0f} ms: {'held' if held else '!'}"
    )
    return 0 if held and flowing else 1


def _first_records(rig: Rig, receiver: CheckingReceiver, topics: list[str]) -> float | None:
    """The 99th percentile of their latency in milliseconds; None when none arrived."""
    receiver.reset()
    with Trickle(rig.kafka.address, dict.fromkeys(topics, 1), FIRST_PER_S) as trickle:
        time.sleep(len(topics) / FIRST_PER_S)
    wait_until(lambda: receiver.report().requests >= PER_TOPIC * trickle.produced, JOIN_TIMEOUT_S)
    seen = receiver.report()
    click.echo(
        f"first records of {seen.timed} idle subscriptions, append to receiver: p50 {seen.p50_ms:.0f} ms, "
        f"p99 {seen.p99_ms:.0f} ms, latest {seen.max_ms:.0f} ms",
    )
    return seen.p99_ms if seen.timed else None
