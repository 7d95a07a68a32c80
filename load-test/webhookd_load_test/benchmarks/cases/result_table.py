"""The benchmark's rows and the result table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import click

MICROSECONDS = 1e6
MEGABYTE = 1e6
COLUMNS = (
    f"{'case':20}{'requests/s':>11}{'records/s':>11}{'µs per':>9}{'ingest':>8}{'worker':>8}{'both':>8}"
    f"{'units':>7}{'target':>8}  {'kafka':>7}{'redis':>7}{'postgres':>9}{'nginx':>7}   RSS MB"
)


def marked(said: str, value: float, most: float) -> str:
    """The text of a value with the most that it should be; a `!` marks a missed target."""
    return f"{said} (≤ {most:g}){'!' * (value > most)}"


@dataclass(frozen=True, slots=True)
class Cost:
    """One more cost of a row, in CPU microseconds; its target is in units."""

    name: str
    us: float
    target: float

    def text(self, unit_us: float | None) -> str:
        """The cost as text; without a unit in microseconds only."""
        if not unit_us:
            return f"{self.name} {self.us:.2f} µs"
        units = self.us / unit_us
        return marked(f"{self.name} {self.us:.2f} µs, {units:.3f} units", units, self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case in steady state. `cpu_s` and `resident_bytes` are by process; costs are given per `each`.

    `target` is in units of one libcurl request, for ingest and worker together; 0 when there is none. `fault` is the
    message when a check failed that must hold on any machine.
    """

    name: str
    elapsed_s: float
    requests: int
    records: int
    each: str = "request"
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    resident_bytes: Mapping[str, int] = field(default_factory=dict)
    target: float = 0.0
    costs: Sequence[Cost] = ()
    remark: str = ""
    fault: str = ""

    @property
    def ours_us(self) -> float:
        """CPU microseconds of ingest and worker together, per request or record."""
        return self.us("ingest") + self.us("worker")

    def us(self, name: str) -> float:
        """CPU microseconds of the processes of that name, per request or record."""
        count = self.records if self.each == "record" else self.requests
        return self.cpu_s.get(name, 0.0) / max(1, count) * MICROSECONDS

    def line(self, unit_us: float | None) -> str:
        """The row as text; without a unit the column of units is empty."""
        units = self.ours_us / unit_us if unit_us else nan
        target = f"≤{self.target:.2f}{'!' if units > self.target else ' '}" if self.target else ""
        costs = "".join(f"{self.us(name):{width}.1f}" for name, width in OTHERS.items())
        memory = " ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in self.resident_bytes.items())
        more = "".join(
            f"\n{'':20}{said}" for said in [*(cost.text(unit_us) for cost in self.costs), *self.remark.splitlines()]
        )
        return (
            f"{self.name:20}{self._per_s(self.requests):11,.0f}{self._per_s(self.records):11,.0f}"
            f"{self.each:>9}{self.us('ingest'):8.1f}{self.us('worker'):8.1f}{self.ours_us:8.1f}"
            f"{units:7.2f}{target:>8}  {costs}   {memory}{more}"
        )

    def _per_s(self, count: int) -> float:
        return count / self.elapsed_s if self.elapsed_s else nan


OTHERS = {"kafka": 7, "redis": 7, "postgres": 9, "nginx": 7}


def print_table(rows: Sequence[Row], unit_us: float | None) -> None:
    """Print the heading and all rows; a `!` marks a missed target."""
    unit = f"{unit_us:.1f} µs here" if unit_us else "not known: its measurement failed"
    click.echo(f"\nCPU in µs; 1 unit = one request of a bare libcurl multi loop = {unit}\n\n{COLUMNS}")
    for row in rows:
        click.echo(row.line(unit_us))
