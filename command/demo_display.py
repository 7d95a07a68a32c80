"""The demo's output: a live table on a terminal, otherwise one line a second; at the end the result table."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from command.demo_environment import DemoEnvironment, DemoSubscription
from webhookd.clock import Monotonic

LIVE_S = 0.25
LINE_S = 1.0
PLAIN_WIDTH = 120


class DemoDisplay(AbstractContextManager["DemoDisplay"]):
    """Shows the progress when the demo's thread calls `refresh`."""

    def __init__(self, environment: DemoEnvironment, monotonic: Monotonic) -> None:
        console = Console()
        self._console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
        self._environment = environment
        self._monotonic = monotonic
        self._began = self._drawn = monotonic()
        self._between_lines = True
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def print_line(self, line: str) -> None:
        """Print a permanent line. Without a terminal it takes the place of the next line about the progress."""
        self._drawn = self._monotonic()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def own_lines(self) -> Iterator[None]:
        """A context whose lines have times of their own: without a terminal none about the progress comes between."""
        self._between_lines = False
        yield
        self._between_lines = True
        self._drawn = self._monotonic()

    def refresh(self) -> None:
        """Show the progress, at most every LIVE_S or LINE_S seconds."""
        now = self._monotonic()
        if now - self._drawn < (LIVE_S if self._live else LINE_S):
            return
        self._drawn = now
        if self._live is not None:
            self._live.update(self._progress(), refresh=True)
        elif self._between_lines:
            delivered = ", ".join(
                f"{subscription.name} {len(subscription.tally.delivered):,}"
                for subscription in self._environment.subscriptions
            )
            self.print_line(
                f"  {now - self._began:4.1f} s  {len(self._environment.orders.all):,} orders in; delivered: {delivered}"
            )

    def result(self, filtered: Mapping[str, int], *, interrupted: bool) -> bool:
        """Show the result table; returns whether nothing was lost and every partition's order was kept.

        After an interruption the records that are still on their way are not lost, and there is no verdict.
        """
        table = _table("orders", "requests", "delivered", "filtered", "lost", "repeated", "p50 ms", "p99 ms")
        subscriptions = self._environment.subscriptions
        total = len(self._environment.orders.all)
        for subscription in subscriptions:
            tally, latency = subscription.tally, subscription.tally.latency()
            counts = (
                total,
                tally.requests,
                len(tally.delivered),
                filtered.get(subscription.name, 0),
                0 if interrupted else subscription.lost,
            )
            table.add_row(
                subscription.name,
                *(f"{count:,}" for count in (*counts, tally.duplicates)),
                _milliseconds(latency.p50_s),
                _milliseconds(latency.p99_s),
            )
        if self._live is not None:
            self._live.update("", refresh=True)
        self._console.print(table)
        self.print_line(
            "p50 and p99: from an order's timestamp to its arrival at the endpoint; a batch waits until it is full."
        )
        if interrupted:
            self.print_line(f"interrupted; {self._environment.undelivered:,} orders were still on their way")
            return False
        return self._verdict(subscriptions)

    def _verdict(self, subscriptions: list[DemoSubscription]) -> bool:
        faults = {
            "lost": sum(subscription.lost for subscription in subscriptions),
            "out of order": sum(subscription.tally.out_of_order for subscription in subscriptions),
            "delivered although their filter drops them": sum(
                subscription.unexpected for subscription in subscriptions
            ),
            "not accepted by Kafka": self._environment.orders.failed,
            "subscriptions without their last commit": sum(
                not self._environment.committed(subscription) for subscription in subscriptions
            ),
        }
        found = [f"{count:,} {fault}" for fault, count in faults.items() if count]
        self.print_line(
            "FAILED: " + ", ".join(found) if found else "Nothing lost, every partition in order, all committed."
        )
        return not found

    def _progress(self) -> Table:
        table = _table("orders", "requests", "delivered", "repeated", "p50 ms")
        for subscription in self._environment.subscriptions:
            counts = (len(self._environment.orders.all), subscription.tally.requests, len(subscription.tally.delivered))
            table.add_row(
                subscription.name,
                *(f"{count:,}" for count in (*counts, subscription.tally.duplicates)),
                _milliseconds(subscription.tally.latency().p50_s),
            )
        return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)  # fits in 80 columns
    table.add_column("subscription", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f}"
