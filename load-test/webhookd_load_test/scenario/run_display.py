"""Shows a run: progress bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from webhookd_load_test.run_folder.samples import Sample

LINE_INTERVAL_S = 5.0
"""How often a plain line says how far the run is."""

Item = TypeVar("Item")


class RunDisplay:
    """A context. `say` prints a line at once; a sample moves the bars, or prints a line now and then.

    Any thread may call it.
    """

    def __init__(self, records: int, console: Console | None = None) -> None:
        self._records = records
        self.console = console or Console(soft_wrap=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[more]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._published: TaskID | None = None
        self._next_line_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line with the time."""
        self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def progress(self, items: Sequence[Item], what: str) -> Iterator[Item]:
        """Each item in turn, with a bar."""
        self.say(f"{what}: {len(items):,}")
        task = self._bars.add_task(what, total=len(items), more="")
        for item in items:
            yield item
            self._bars.advance(task)
        self._bars.remove_task(task)

    def show_sample(self, sample: Sample) -> None:
        """Show how far the load is."""
        lag = "" if sample.lag is None else f", lag {sample.lag:,}"
        more = f"{sample.received:,} received{lag}"
        if self.console.is_terminal:
            if self._published is None:
                self._published = self._bars.add_task("published", total=self._records, more="")
            self._bars.update(self._published, completed=sample.published, more=more)
        elif time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LINE_INTERVAL_S
            self.say(f"{sample.published:,} of {self._records:,} published, {more}")
