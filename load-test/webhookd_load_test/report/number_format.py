"""Numbers as people read them: thousands apart, and a unit that fits the size."""

import math
from typing import TypeGuard

UNKNOWN = "–"
"""What stands for a number that is not known or not finite."""


def count(number: float | None) -> str:
    """A whole number: `12,345`."""
    return f"{number:,.0f}" if known(number) else UNKNOWN


def plain(number: float | None) -> str:
    """A number with as many decimals as it needs, three digits in all: `<0.01`, `0.25`, `1.5`, `12,345`."""
    if not known(number):
        return UNKNOWN
    if 0 < number < 0.005:
        return "<0.01"
    size = abs(number)
    decimals = 0 if size >= 99.95 or size == 0 else 1 if size >= 9.995 else 2
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate(per_s: float | None) -> str:
    """A rate: `1,234/s`."""
    return f"{plain(per_s)}/s" if known(per_s) else UNKNOWN


def milliseconds(number_ms: float | None) -> str:
    """A time that is given in milliseconds: `0.42 ms`, `123 ms`, `1.23 s`, `2 min 5 s`."""
    if not known(number_ms):
        return UNKNOWN
    return f"{plain(number_ms)} ms" if abs(number_ms) < 999.5 else seconds(number_ms / 1000)


def seconds(number_s: float | None) -> str:
    """A time that is given in seconds: `0.5 s`, `12.3 s`, `2 min 5 s`, `1 h 5 min`."""
    if not known(number_s):
        return UNKNOWN
    if abs(number_s) < 59.95:
        return f"{plain(number_s)} s"
    whole_s = round(number_s)
    if whole_s < 3600:
        return _two(whole_s // 60, "min", whole_s % 60, "s")
    return _two(whole_s // 3600, "h", whole_s % 3600 // 60, "min")


def known(number: float | None) -> TypeGuard[float]:
    """Whether there is a finite number."""
    return number is not None and math.isfinite(number)


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large:,} {large_unit} {small} {small_unit}" if small else f"{large:,} {large_unit}"
