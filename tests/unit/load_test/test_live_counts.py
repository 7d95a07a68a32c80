"""What the command `receive` shows while it runs.

Oracle: the lines of a console that writes to memory. Time is given.
"""

from io import StringIO

import pytest
from rich.console import Console

from webhookd_load_test.receiver.counts import Counts
from webhookd_load_test.receiver.live_counts import LiveCounts

FIRST = Counts(requests=10, records=1000, refused=2)
SECOND = Counts(requests=30, records=3000, refused=2)


@pytest.mark.parametrize("terminal", [False, True], ids=["lines", "terminal"])
def test_counts_are_shown_with_the_rate_since_the_last_time(terminal: bool) -> None:
    output = StringIO()
    with LiveCounts(Console(file=output, force_terminal=terminal, width=120), 100.0) as live:
        live.show(FIRST, 105.0)
        live.show(SECOND, 107.5)
    text = output.getvalue()
    assert "5.0 s  10 requests, 2 of them refused, 1,000 records; 200 records/s" in text
    assert "7.5 s  30 requests, 2 of them refused, 3,000 records; 800 records/s" in text
    assert ("\x1b[" in text) is terminal


def test_nothing_is_printed_when_nothing_arrives() -> None:
    output = StringIO()
    with LiveCounts(Console(file=output), 0.0) as live:
        live.show(Counts(), 5.0)
        live.show(FIRST, 10.0)
        live.show(FIRST, 15.0)
    assert len(output.getvalue().splitlines()) == 1
