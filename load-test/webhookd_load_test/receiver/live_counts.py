"""Shows what the receiver gets: a line that changes on a terminal, otherwise a line every few seconds."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from webhookd_load_test.receiver.counts import Counts

LIVE_S = 0.5
LINE_S = 5.0


class LiveCounts(AbstractContextManager["LiveCounts"]):
    """A context; show the counts now and then. Without a terminal, a line is printed only if something has arrived."""

    def __init__(self, console: Console, now: float) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._began = self._shown_at = now
        self._shown = Counts()

    @property
    def interval_s(self) -> float:
        """How often to show the counts."""
        return LIVE_S if self._live else LINE_S

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, counts: Counts, now: float) -> None:
        """Show the counts at the monotonic time `now`, with the rate since they were shown last."""
        per_s = (counts.records - self._shown.records) / max(now - self._shown_at, 1e-3)
        line = f"{now - self._began:6.1f} s  {in_words(counts)}; {per_s:,.0f} records/s"
        if self._live is not None:
            self._live.update(Text(line), refresh=True)
        elif counts.requests != self._shown.requests:
            self.print_line(line)
        self._shown, self._shown_at = counts, now

    def print_line(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def in_words(counts: Counts) -> str:
    """All counts, in one line."""
    return f"{counts.requests:,} requests, {counts.refused:,} of them refused, {counts.records:,} records"
