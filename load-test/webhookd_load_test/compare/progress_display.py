"""The progress of a comparison: bars on a terminal, otherwise a line now and then."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID

from webhookd.clock import Monotonic
from webhookd_load_test.compare.comparison import Progress as Report

LINE_S = 5.0


@contextmanager
def shown_progress(console: Console, monotonic: Monotonic) -> Iterator[Report]:
    """A context in which what the returned function is told appears on the console."""
    if not console.is_terminal:
        yield _Lines(console, monotonic).report
        return
    with Progress(console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield report


class _Lines:
    """A line at most every LINE_S seconds, so that a short comparison prints none."""

    def __init__(self, console: Console, monotonic: Monotonic) -> None:
        self._console, self._monotonic = console, monotonic
        self._printed_s = monotonic()

    def report(self, what: str, done: int, total: int) -> None:
        now_s = self._monotonic()
        if now_s - self._printed_s < LINE_S:
            return
        self._printed_s = now_s
        self._console.print(f"compared {done:,} of {total:,} {what}", highlight=False, markup=False)
