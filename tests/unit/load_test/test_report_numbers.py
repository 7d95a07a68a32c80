"""How a report writes numbers, and how much room it gives to texts."""

import pytest

from webhookd_load_test.counted import counted
from webhookd_load_test.report import number_format
from webhookd_load_test.report.text_width import cut, width


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.004, "<0.01"), (0.25, "0.25"), (1.5, "1.5"), (9.994, "9.99"), (12.04, "12"), (99.96, "100"),
     (12_345.6, "12,346"), (None, "–"), (float("nan"), "–"), (float("inf"), "–")],
)  # fmt: skip
def test_plain_numbers_have_three_digits(number: float | None, text: str) -> None:
    assert number_format.plain(number) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 ms"), (0.42, "0.42 ms"), (123.4, "123 ms"), (999.4, "999 ms"), (999.6, "1 s"), (1234, "1.23 s"),
     (59_960, "1 min"), (125_000, "2 min 5 s"), (3_599_600, "1 h"), (3_900_000, "1 h 5 min"), (None, "–")],
)  # fmt: skip
def test_times_have_the_unit_that_fits(milliseconds: float | None, text: str) -> None:
    assert number_format.milliseconds(milliseconds) == text


def test_counts_and_rates_have_thousands_apart() -> None:
    assert number_format.count(1_234_567) == "1,234,567"
    assert number_format.rate(52_000) == "52,000/s"
    assert number_format.rate(None) == "–"
    assert counted(1, "record") == "1 record"
    assert counted(2000, "delivery", "deliveries") == "2,000 deliveries"


def test_text_that_fits_is_whole() -> None:
    assert cut("broker 4 added", 12, width("broker 4 added", 12)) == "broker 4 added"


@pytest.mark.parametrize("text", ["broker 4 added, 6 partitions moved to it", "ブローカー四が追加された"])
def test_text_that_is_too_long_is_cut_to_its_room(text: str) -> None:
    room = width(text, 12) / 2
    shown = cut(text, 12, room)
    assert shown.endswith("…")
    assert 0 < width(shown, 12) <= room
