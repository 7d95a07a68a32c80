"""Says what a timeline does: a line for each event with its time, and on a terminal what is being done."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_thread import Actions, Done
from webhookd_load_test.run_folder.facts import Event
from webhookd_load_test.run_folder.units import NS_PER_S


class TimelineLines:
    """A context in which lines are printed. Times are seconds since `begin`. Any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("", console=console)
        self._began_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def say(self, text: str) -> None:
        """Print a line without a time."""
        self._console.print(text, markup=False, soft_wrap=True)

    def begin(self, at_ns: int) -> int:
        """Count times from then on; returns it."""
        self._began_ns = at_ns
        return at_ns

    def tell(self, event: Event) -> None:
        """Print an event: when it began, how long it took, and what it was."""
        self._status.stop()
        took_s = (event.until_ns - event.at_ns) / NS_PER_S
        self.say(f"{(event.at_ns - self._began_ns) / NS_PER_S:8.1f} s  {event.text} ({took_s:.1f} s)")

    def telling(self, actions: Actions) -> Actions:
        """The same actions, which show on a terminal that they run."""
        return _Shown(actions, self)

    def show(self, step: Step) -> None:
        """Show on a terminal that a step runs, until the next event."""
        if self._console.is_terminal:
            self._status.update(f"{step.do} …")
            self._status.start()


class _Shown:
    def __init__(self, actions: Actions, lines: TimelineLines) -> None:
        self._actions = actions
        self._lines = lines

    def perform(self, step: Step) -> Done:
        self._lines.show(step)
        return self._actions.perform(step)
