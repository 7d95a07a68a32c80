"""Shows how far a comparison is: a display for each thing that is compared."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console

from webhookd.clock import Monotonic
from webhookd_load_test.compare.comparison import Progress
from webhookd_load_test.progress_display import ProgressDisplay


@contextmanager
def shown_progress(console: Console, now_s: Monotonic) -> Iterator[Progress]:
    """A context in which what the returned function is told appears on the console; one thing after the other."""
    displays: dict[str, ProgressDisplay] = {}
    with ExitStack() as shown:

        def report(what: str, done: int, total: int) -> None:
            if what not in displays:
                shown.close()  # a terminal has one bar at a time
                display = ProgressDisplay("comparing", total, what, console=console, now_s=now_s)
                displays[what] = shown.enter_context(display)
            displays[what].show(done)

        yield report
