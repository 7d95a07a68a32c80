"""Runs the cases of the benchmark one after another; those that fail are named, and the others continue."""

import time
from collections.abc import Callable, Mapping

import click

from webhookd_load_test.benchmarks.cases.result_table import Row


class Attempts:
    """Runs measurements, and records the names of those that failed."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def of(self, name: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """Run a measurement; returns its rows, or none when it failed for any reason."""
        say(name)
        try:
            rows = measure()
        except Exception as error:  # noqa: BLE001 - an error of one case must not stop the others
            self._fail(name, str(error) or repr(error))
            return []
        for fault in {row.fault for row in rows if row.fault}:
            self._fail(name, fault)
        return rows

    def _fail(self, name: str, reason: str) -> None:
        say(f"FAILED {name}: {reason}")
        self.failed.append(name)

    def exit_code(self) -> int:
        """Print the failed names; returns 1 when there are any."""
        if self.failed:
            click.echo(f"\nFAILED: {', '.join(self.failed)}")
        return 1 if self.failed else 0


def run_cases(attempts: Attempts, cases: Mapping[str, Callable[[], list[Row]]], unit_us: float | None) -> list[Row]:
    """Run the cases one after another; returns the rows of those that did not fail."""
    rows: list[Row] = []
    for name, case in cases.items():
        measured = attempts.of(name, case)
        for row in measured:
            say(row.line(unit_us))
        rows += measured
    return rows


def say(what: str) -> None:
    """Print a line with the time."""
    click.echo(f"{time.strftime('%H:%M:%S')} {what}")
