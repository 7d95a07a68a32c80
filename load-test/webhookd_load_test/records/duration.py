"""Durations on the command line: 90s, 1m, 1h30m, 500ms."""

import re

import click

from webhookd_load_test.run_folder.units import MS_PER_S

MS_PER_UNIT = {"h": 3600 * MS_PER_S, "m": 60 * MS_PER_S, "s": MS_PER_S, "ms": 1}
LONGEST_MS = 366 * 24 * MS_PER_UNIT["h"]
FORM = re.compile(r"(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m)?(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,12})ms)?", re.ASCII)


def parse_duration_ms(text: str) -> int:
    """Return the milliseconds of a duration, from 1 ms to a year. Raises ValueError with the reason."""
    found = FORM.fullmatch(text.strip())
    if not found or not found[0]:
        raise ValueError(f"{text!r} is no duration: write 90s, 1m, 1h30m or 500ms")
    parts = {unit: int(number) for unit, number in found.groupdict().items() if number}
    duration_ms = sum(number * MS_PER_UNIT[unit] for unit, number in parts.items())
    if not 1 <= duration_ms <= LONGEST_MS:
        raise ValueError(f"{text!r} is not between 1ms and 8784h")
    return duration_ms


class Duration(click.ParamType[int]):
    """A duration; the command gets its milliseconds."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration_ms(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
