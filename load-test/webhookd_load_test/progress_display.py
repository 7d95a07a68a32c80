"""Shows on stderr how far something long is: a bar on a terminal, otherwise a line every few seconds."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from webhookd.clock import Monotonic, monotonic

LINE_S = 5.0
BAR_S = 0.1


class ProgressDisplay(AbstractContextManager["ProgressDisplay"]):
    """A context; call `show` as often as you like, from one thread. `title` is a verb such as `publishing`."""

    def __init__(
        self, title: str, total: int, unit: str, *, console: Console | None = None, now_s: Monotonic = monotonic
    ) -> None:
        self._title = title
        self._total = total
        self._unit = unit
        self._console = console or Console(stderr=True)
        self._now_s = now_s
        self._shown_at_s = now_s()
        self._bar = _bar(self._console) if self._console.is_terminal else None
        self._task = self._bar.add_task(title, total=total, counts="", note="") if self._bar else None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """Show that so much is done; at most every BAR_S or LINE_S seconds, but always when all is done on a bar."""
        now_s = self._now_s()
        whole_bar = self._bar is not None and done >= self._total
        if now_s - self._shown_at_s < (BAR_S if self._bar else LINE_S) and not whole_bar:
            return
        self._shown_at_s = now_s
        counts = f"{done:,} of {self._total:,} {self._unit}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, counts=counts, note=note)
        else:
            self._line(f"{self._title}: {counts} ({done / max(self._total, 1):.0%}){', ' if note else ''}{note}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console)
