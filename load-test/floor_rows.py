"""The floors of a benchmark run, as rows; each fails by its name, and the others are measured all the same."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol

from bench_case import Bench, must
from rig import ROOT
from table import Row

UNIT_RUNS = 3
"""The unit is the median of so many: everything is divided by it."""

FLOOR_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A floor: which loop of floors.py, with which records to a request."""

    name: str
    loop: str
    batch: int = 1
    tls: bool = False


UNIT = Wanted(name="libcurl multi", loop="curl")
OTHERS = (
    Wanted(name="libcurl multi, HTTPS", loop="curl", tls=True),
    Wanted(name="bare loop, batch 1", loop="loop"),
    Wanted(name="bare loop, 100", loop="loop", batch=100),
    Wanted(name="bare loop, 1000", loop="loop", batch=1000),
    Wanted(name="bare loop, HTTPS", loop="loop", tls=True),
)


class Attempts(Protocol):
    """What runs something that may fail."""

    def of(self, name: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """What was measured; nothing when it failed, which somebody is told."""


def floors(bench: Bench, topic: str, attempts: Attempts) -> tuple[list[Row], float | None]:
    """The floors, and what the unit is in microseconds; None when it could not be measured."""
    units = [row for _ in range(UNIT_RUNS) for row in attempts.of(UNIT.name, partial(_measured, bench, topic, UNIT))]
    middle = median(row.ours_us for row in units) if units else None
    shown = sorted(units, key=lambda row: abs(row.ours_us - (middle or 0.0)))[:1]
    others = [row for wanted in OTHERS for row in attempts.of(wanted.name, partial(_measured, bench, topic, wanted))]
    return shown + others, middle


def _measured(bench: Bench, topic: str, wanted: Wanted) -> list[Row]:
    return [_floor(bench, topic, wanted)]


def _floor(bench: Bench, topic: str, wanted: Wanted) -> Row:
    """One floor, measured in a process of its own; see floors.py."""
    nginx = bench.rig.nginx
    endpoint = (
        ["--url", nginx.https_url, "--ca-file", str(nginx.certificate)] if wanted.tls else ["--url", nginx.address]
    )
    script = [sys.executable, str(Path(__file__).with_name("floors.py")), wanted.loop, *endpoint]
    source = ["--kafka", bench.rig.kafka.address, "--topic", topic, "--batch", str(wanted.batch)]
    answer = subprocess.run(
        [*script, *source],
        capture_output=True,
        text=True,
        timeout=FLOOR_TIMEOUT_S,
        check=False,
        env={**bench.rig.environment, "PYTHONPATH": str(ROOT)},
    )
    must(answer.returncode == 0, f"{wanted.name}: {(answer.stderr.strip().splitlines() or ['no output'])[-1]}")
    known = json.loads(answer.stdout)
    must(known["requests"] > 0 and known["elapsed_s"] > 0, f"{wanted.name}: nothing was sent while it was measured")
    return Row(
        name=wanted.name,
        elapsed_s=known["elapsed_s"],
        requests=known["requests"],
        records=known["requests"] * wanted.batch,
        each="request" if wanted.batch == 1 else "record",
        cpu_s={"worker": known["cpu_s"]},
        resident_bytes={"itself": known["resident_bytes"]},
    )
