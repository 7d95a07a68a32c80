"""Reads fields from the raw head of a response. Heads are kept raw and parsed only when a field is needed."""

from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_WAIT_S = 365 * 86400.0
"""The limit of a `Retry-After`. Callers that retry have smaller limits of their own."""


def parse_head(head: bytes) -> list[str]:
    """The header lines of a raw head, without its status line. Folded lines are joined to the lines they continue."""
    lines: list[str] = []
    for line in head.decode("latin-1").split("\r\n")[1:]:
        if line[:1] in {" ", "\t"} and lines:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        elif line:
            lines.append(line)
    return lines


def field_value(head: bytes, name: str) -> str | None:
    """The value of the first header called `name` (in any case), stripped; None without one."""
    return next(iter(field_values(head, name)), None)


def field_values(head: bytes, name: str) -> list[str]:
    """The values of all headers called `name` (in any case), stripped, in their order."""
    wanted = name.lower()
    fields = (line.partition(":") for line in parse_head(head))
    return [value.strip() for found, colon, value in fields if colon and found.strip().lower() == wanted]


def retry_after_s(head: bytes, now: float) -> float | None:
    """The wait of `Retry-After` in seconds, from `now` (seconds since the epoch); None when it is absent or malformed.

    Both forms are read, seconds and date. A date in the past gives 0.
    """
    value = field_value(head, "retry-after")
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return LONGEST_WAIT_S if len(value) > 9 else min(float(value), LONGEST_WAIT_S)
    try:
        date = parsedate_to_datetime(value)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at - now), LONGEST_WAIT_S)
