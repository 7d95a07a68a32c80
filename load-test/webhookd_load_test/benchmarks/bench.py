"""The command `bench`: what deliveries cost, case by case, beside the floors of the same run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import click

from webhookd_load_test.benchmarks.cases.attempts import Attempts, run_cases, say
from webhookd_load_test.benchmarks.cases.backlog_case import BACKLOG_PARTITIONS, BACKLOG_TOPIC
from webhookd_load_test.benchmarks.cases.bench_case import Bench, CheckingSink, NginxSink
from webhookd_load_test.benchmarks.cases.case_table import CASES
from webhookd_load_test.benchmarks.cases.result_table import print_table
from webhookd_load_test.benchmarks.floors.floor_rows import floors
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.rig import BROKER, GROUPS_WAIT, Rig
from webhookd_load_test.benchmarks.rig.short_rig import ShortRig

SHORT_RECORDS = 4000
SHORT_SECONDS = 1.0


@click.command()
@click.option(
    "--records",
    type=click.IntRange(BACKLOG_PARTITIONS),
    default=3_000_000,
    show_default=True,
    help="Records in the backlog.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=8.0,
    show_default=True,
    help="Measuring time of each case.",
)
@click.option("--short", is_flag=True, help="A functional test: few records, no floors, no figures.")
@click.argument("cases", nargs=-1, metavar="[CASE]...", type=click.Choice(list(CASES)))
def bench(records: int, seconds: float, cases: Sequence[str], *, short: bool) -> None:
    """Measure the cost of deliveries, case by case, beside the floors of the same run.

    It starts its own Kafka, Redis, Postgres, nginx and the real processes of webhookd, delivers a backlog case by case,
    and prints each case beside the floors: the least that it can cost. It takes some ten minutes, and stops all that it
    started, also on failure or Ctrl-C. All cases are run unless some are named.

    A case or floor that delivers nothing fails: its name is printed, the others continue, and the exit code is 1. A
    case that loses, repeats or reorders records fails too, and `workers` fails when threads are idle while work waits.

    --short is a functional test and takes half a minute: each case delivers a few thousand records, all of them, once
    and in order; no figure is asserted. It uses the services in WEBHOOKD_TEST_KAFKA, _REDIS and _POSTGRES.
    """
    chosen = cases or list(CASES)
    end_with(lambda: _short(chosen) if short else _long(chosen, records, seconds))


def _long(cases: Sequence[str], records: int, seconds: float) -> int:
    with Rig(replace(BROKER, settings=GROUPS_WAIT)) as rig:
        say(f"producing {records:,} records of 300 bytes")
        rig.create_topics({BACKLOG_TOPIC: BACKLOG_PARTITIONS})
        backlog(rig.kafka.address, BACKLOG_TOPIC, BACKLOG_PARTITIONS, records)
        bench = Bench(rig=rig, sink=NginxSink(rig), backlog=records, seconds=seconds)
        attempts = Attempts()
        rows, unit_us = floors(bench, BACKLOG_TOPIC, attempts)
        rows += run_cases(attempts, {name: partial(CASES[name], bench) for name in cases}, unit_us)
        print_table(rows, unit_us)
        return attempts.exit_code()


def _short(names: Sequence[str]) -> int:
    attempts = Attempts()
    with ShortRig() as rig:
        topic = rig.prefix + BACKLOG_TOPIC
        rig.create_topics({topic: BACKLOG_PARTITIONS})
        backlog(rig.kafka.address, topic, BACKLOG_PARTITIONS, SHORT_RECORDS)
        for name in names:
            with _checking(rig) as bench:
                run_cases(attempts, {name: partial(CASES[name], bench)}, None)
    return attempts.exit_code()


@contextmanager
def _checking(rig: ShortRig) -> Iterator[Bench]:
    """A separate receiver for each case, so that it checks the order of this case only."""
    with rig.receiver() as receiver:
        yield Bench(
            rig=rig,
            sink=CheckingSink(rig, receiver),
            backlog=SHORT_RECORDS,
            seconds=SHORT_SECONDS,
            short=True,
            prefix=rig.prefix,
        )
