"""The command `fanout`: what many subscriptions with a filter each cost on one topic, beside one without."""

from collections.abc import Sequence
from dataclasses import replace

import click

from webhookd_load_test.benchmarks.cases.attempts import Attempts, run_cases, say
from webhookd_load_test.benchmarks.cases.bench_case import Bench, NginxSink
from webhookd_load_test.benchmarks.cases.fanout_case import ROWS, Fanout
from webhookd_load_test.benchmarks.cases.result_table import print_table
from webhookd_load_test.benchmarks.floors.floor_rows import unit
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.open_files import allow_files
from webhookd_load_test.benchmarks.rig.rig import BROKER, Rig
from webhookd_load_test.benchmarks.rig.short_rig import ShortRig

SHORT_SUBSCRIPTIONS, SHORT_PER_S, SHORT_SECONDS = 8, 200, 1.0


@click.command()
@click.option(
    "--subscriptions",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Subscriptions with a filter each.",
)
@click.option("--per-second", type=click.IntRange(1), default=2000, show_default=True, help="Records a second.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="Measuring time of each row.",
)
@click.option("--short", is_flag=True, help="A functional test: few subscriptions and records, no unit, no figures.")
@click.argument("rows", nargs=-1, metavar="[ROW]...", type=click.Choice(ROWS))
def fanout(subscriptions: int, per_second: int, seconds: float, rows: Sequence[str], *, short: bool) -> None:
    """Measure what many subscriptions on one topic cost, when each record is for one of them.

    Three rows, each with a topic of four partitions and a steady rate: `alone` is one subscription without a filter,
    which gets all records. `equality` are many with the filter `tenant == 'n'`. `comparison` are many with
    a filter that no index helps, `amount > n`, of which one holds. The last two are compared with the first: CPU of
    ingest and worker, and bytes that the broker sent by its own counters. All rows are run unless some are named.

    It starts its own Kafka, Redis, Postgres, nginx and the real processes of webhookd: one ingest process, or as many
    as so many subscriptions need, which it prints, and one worker. A row is measured when every subscription has
    delivered its first record. The exit code is 1 when a record is missing, out of order or arrived twice.

    --short is a functional test of some seconds. It uses the services in WEBHOOKD_TEST_KAFKA, _REDIS and _POSTGRES.
    """
    chosen = rows or ROWS
    allow_files(subscriptions)
    end_with(lambda: _short(chosen) if short else _long(chosen, subscriptions, per_second, seconds))


def _long(rows: Sequence[str], subscriptions: int, per_s: int, seconds: float) -> int:
    attempts = Attempts()
    with Rig(replace(BROKER, jmx=True)) as rig:
        bench = Bench(rig=rig, sink=NginxSink(rig), backlog=0, seconds=seconds)
        shown, unit_us = unit(bench, "", attempts)
        case = Fanout(bench=bench, subscriptions=subscriptions, per_s=per_s)
        say(f"{subscriptions} subscriptions in {case.ingests} ingest process{'es' * (case.ingests > 1)}, one worker")
        print_table(shown + run_cases(attempts, case.rows(rows), unit_us), unit_us)
    return attempts.exit_code()


def _short(rows: Sequence[str]) -> int:
    attempts = Attempts()
    with ShortRig() as rig:
        sink = NginxSink(rig)
        bench = Bench(rig=rig, sink=sink, backlog=0, seconds=SHORT_SECONDS, short=True, prefix=rig.prefix)
        case = Fanout(bench=bench, subscriptions=SHORT_SUBSCRIPTIONS, per_s=SHORT_PER_S)
        run_cases(attempts, case.rows(rows), None)
    return attempts.exit_code()
