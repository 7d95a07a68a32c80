"""How progress is shown: a bar on a terminal, else lines. The console writes to a text, and the clock is moved."""

import io

import pytest
from rich.console import Console

from webhookd_load_test.progress_display import ProgressDisplay


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_every_five_seconds(clock: Clock) -> None:
    written = io.StringIO()
    with ProgressDisplay("publishing", 2000, "rows", console=Console(file=written), now_s=clock) as display:
        for second in range(11):
            clock.now_s = float(second)
            display.show(100 * second, "3 ms late" if second > 5 else "")
    assert written.getvalue().splitlines() == [
        "publishing: 500 of 2,000 rows (25%)",
        "publishing: 1,000 of 2,000 rows (50%), 3 ms late",
    ]


def test_terminal_has_a_bar_that_ends_full(clock: Clock) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120)
    with ProgressDisplay("publishing", 2000, "rows", console=console, now_s=clock) as display:
        display.show(2000, "0 ms late")
    assert "2,000 of 2,000 rows" in written.getvalue()
    assert "━" in written.getvalue()
