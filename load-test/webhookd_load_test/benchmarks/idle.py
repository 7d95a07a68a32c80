"""The command `idle`: the cost of a thousand idle subscriptions, with a real broker."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from webhookd_load_test.benchmarks.cases.result_table import marked
from webhookd_load_test.benchmarks.kafka.trickle import Trickle
from webhookd_load_test.benchmarks.rig.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.open_files import allow_files
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline, ingest_processes
from webhookd_load_test.benchmarks.rig.rig import Rig
from webhookd_load_test.process_usage import wait_until

PER_TOPIC = 10
SETTLE_S = 60.0
"""The limit is about subscriptions that have been idle for a minute."""

JOIN_TIMEOUT_S = 180.0
JOINING_PER_S = 30.0
"""Records that show which subscriptions have joined; each record goes to ten of them."""

FIRST_TOPICS = 40
FIRST_PER_S = 4.0
CPU_LIMIT, MEMORY_LIMIT_MB, LATE_LIMIT_MS = 0.15, 500.0, 250.0
"""Of all ingest processes together, and of the first records."""


@click.command()
@click.option("--subscriptions", type=click.IntRange(PER_TOPIC), default=1000, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Measuring time.",
)
def idle(subscriptions: int, seconds: float) -> None:
    """Measure the cost of a thousand idle subscriptions, with a real broker.

    It starts one ingest process, or as many as so many subscriptions need, and says how many. It registers the
    subscriptions over the API, ten on each topic of one partition, lets them idle, and measures CPU and memory of
    ingest and of the broker. Then it produces one record to each of some topics that have been idle for a minute, and
    measures the latency of these first records. The exit code is 1 when a limit is exceeded.
    """
    allow_files(subscriptions)
    end_with(lambda: _idle(subscriptions, seconds))


def _idle(subscriptions: int, seconds: float) -> int:
    with Rig() as rig, rig.receiver() as receiver:
        topics = {f"idle-{number}": 1 for number in range(subscriptions // PER_TOPIC)}
        rig.create_topics(topics)
        ingests = ingest_processes(subscriptions)
        click.echo(f"{subscriptions} subscriptions in {ingests} ingest process{'es' * (ingests > 1)}")
        with rig.pipeline(ingests=ingests) as pipeline, _registered(rig, receiver, list(topics)):
            return _measure(rig, pipeline, receiver, (topics, seconds))


@contextmanager
def _registered(rig: Rig, receiver: CheckingReceiver, topics: list[str]) -> Iterator[None]:
    """Register the subscriptions. They end with the pipeline and are not deleted one by one."""
    began = time.monotonic()
    wanted = [(f"{receiver.url}{number}", topic) for topic in topics for number in range(PER_TOPIC)]
    rig.subscribe_all((url, topic, {"start": "latest"}) for url, topic in wanted)
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
    said = (
        marked(f"ingest {cores['ingest']:.2f} cores", cores["ingest"], CPU_LIMIT),
        marked(f"{memory_mb['ingest']:.0f} MB", memory_mb["ingest"], MEMORY_LIMIT_MB),
        marked(f"p99 of the first records {late_ms:.0f} ms", late_ms, LATE_LIMIT_MS),
    )
    click.echo(f"limits: {', '.join(said)}")
    held = cores["ingest"] <= CPU_LIMIT and memory_mb["ingest"] <= MEMORY_LIMIT_MB and late_ms <= LATE_LIMIT_MS
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
