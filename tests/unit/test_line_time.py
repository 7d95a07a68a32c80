"""The time of a log line. Oracle: Python's own datetime."""

from datetime import UTC, datetime, timedelta

import pytest

from webhookd.line_time import LineTime

EPOCH = datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize("seconds", [0, 951_782_399, 951_782_400, 1_700_000_000, 4_102_444_799])
@pytest.mark.parametrize("microseconds", [0, 1, 499_999, 999_999])
def test_time_is_iso_8601_in_utc(seconds: int, microseconds: int) -> None:
    stamp = LineTime(lambda: (seconds * 1_000_000 + microseconds) * 1000 + 999)
    line = stamp(None, "info", {"event": "delivered"})
    assert line["timestamp"].endswith("Z")
    assert datetime.fromisoformat(line["timestamp"]) == EPOCH + timedelta(seconds=seconds, microseconds=microseconds)


def test_each_line_has_its_own_time_also_when_the_clock_is_set_back() -> None:
    times = iter([1_999_999_999, 2_000_000_000, 1_500_000_000])
    stamp = LineTime(lambda: next(times))
    assert [stamp(None, "info", {})["timestamp"] for _ in range(3)] == [
        "1970-01-01T00:00:01.999999Z",
        "1970-01-01T00:00:02.000000Z",
        "1970-01-01T00:00:01.500000Z",
    ]
