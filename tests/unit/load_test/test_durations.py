"""Durations on the command line. Nothing is doubled."""

import pytest

from webhookd_load_test.records.duration import parse_duration_ms


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("90s", 90_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("500ms", 500),
        ("1h1m1s1ms", 3_661_001),
        (" 2m ", 120_000),
    ],
)
def test_duration_is_read(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize("text", ["", "90", "1d", "1m1h", "-1s", "1.5s", "٣s", "1 m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write 90s, 1m, 1h30m or 500ms"):
        parse_duration_ms(text)


@pytest.mark.parametrize("text", ["0s", "8785h"])
def test_durations_have_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="is not between 1ms and 8784h"):
        parse_duration_ms(text)
