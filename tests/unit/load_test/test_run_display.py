"""What a run shows where there is no terminal. Oracle: the text."""

import io

from rich.console import Console

from webhookd_load_test.run_folder.samples import Sample
from webhookd_load_test.scenario.run_display import RunDisplay


def test_without_a_terminal_there_are_plain_lines() -> None:
    output = io.StringIO()
    with RunDisplay(2000, Console(file=output, soft_wrap=True)) as display:
        display.say("broker [4] added")
        assert list(display.progress(["a", "b"], "registering subscriptions")) == ["a", "b"]
        for published in (1000, 1500):
            display.show_sample(Sample(at_ns=1, published=published, received=1234, lag=7))
    lines = [line.partition(" ")[2] for line in output.getvalue().splitlines()]
    assert lines == [
        "broker [4] added",
        "registering subscriptions: 2",
        "1,000 of 2,000 published, 1,234 received, lag 7",
    ]


def test_unknown_lag_is_left_out() -> None:
    output = io.StringIO()
    with RunDisplay(1, Console(file=output, soft_wrap=True)) as display:
        display.show_sample(Sample(at_ns=1, published=1, received=1))
    assert "lag" not in output.getvalue()
