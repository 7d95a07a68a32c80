"""The command `isolation`: how much other subscriptions delay ten healthy ones.

The rows are `hang` of isolation_rows/hang.py, and `start` and `held` of isolation_rows/neighbours.py.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from webhookd_load_test.benchmarks.endpoints.switchable_receiver import SwitchableReceiver
from webhookd_load_test.benchmarks.isolation_rows.hang import DEADLINE_S, hang
from webhookd_load_test.benchmarks.isolation_rows.healthy_p99 import RowFailedError
from webhookd_load_test.benchmarks.isolation_rows.neighbours import neighbours_row
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.rig import Rig

ROWS = ("hang", "start", "held")


@click.command()
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of each row.")
@click.argument("rows", nargs=-1, metavar="[ROW]...", type=click.Choice(ROWS))
def isolation(runs: int, rows: Sequence[str]) -> None:
    """Measure how much other subscriptions delay ten healthy ones.

    The rows are hang, start and held; all of them unless some are named. A line is printed for each run, and the
    medians
    over the runs. The exit code is 1 when a bound is not held.

    hang: beside the ten are 100 subscriptions whose endpoints answer; then they hang until the deadline (5 s here) on
    every request; then they answer again. The p99 of the ten may be 1.2 times what it is while all answer, both during
    first attempts and during retries. Each retry that is due after the 100 have recovered must start within 2 s of its
    time.

    start: a subscription of 300 partitions starts, with records in each. held: a subscription of 64 partitions has half
    of its circuits open. The p99 of the ten may be 1.2 times what it is without that subscription.
    """
    end_with(lambda: _measure(rows or ROWS, runs))


def _measure(rows: Sequence[str], runs: int) -> int:
    try:
        return 0 if _held(rows, runs) else 1
    except RowFailedError as error:
        click.echo(f"FAILED {error}; see {LOGS}")
        return 1


@contextmanager
def _service() -> Iterator[tuple[Rig, SwitchableReceiver]]:
    """Run one ingest process, a worker per queue, and the receiver."""
    with Rig() as rig, SwitchableReceiver() as receiver:
        rig.environment = {**rig.environment, "WEBHOOKD_REQUEST_DEADLINE_S": str(DEADLINE_S)}
        children = [
            rig.command("ingest"),
            rig.command("worker", "--queue", "first", log="worker-first"),
            rig.command("worker", "--queue", "retry", log="worker-retry"),
        ]
        try:
            yield rig, receiver
        finally:
            for child in children:
                child.stop()


def _held(rows: Sequence[str], count: int) -> bool:
    """Measure the rows; returns whether all held."""
    with _service() as (rig, receiver):
        held = [
            hang(rig, receiver, count) if row == "hang" else neighbours_row(row, rig, receiver, count) for row in rows
        ]
    return all(held)
