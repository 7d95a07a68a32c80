"""The floors of a run, as rows. When one fails its name is printed, and the others are measured."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from statistics import median

from webhookd_load_test.benchmarks.cases.attempts import Attempts
from webhookd_load_test.benchmarks.cases.bench_case import Bench, require
from webhookd_load_test.benchmarks.cases.result_table import Row

UNIT_RUNS = 3
"""The unit is the median of this many runs; all results are divided by it."""

FLOOR_TIMEOUT_S = 60.0
PROGRAM = "webhookd_load_test.benchmarks.floors"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorSpec:
    """A floor: which command of floors/__main__.py to run, and with how many records in a request."""

    name: str
    loop: str
    batch: int = 1
    tls: bool = False


UNIT = FloorSpec(name="libcurl multi", loop="curl")
OTHERS = (
    FloorSpec(name="libcurl multi, HTTPS", loop="curl", tls=True),
    FloorSpec(name="bare loop, batch 1", loop="loop"),
    FloorSpec(name="bare loop, 100", loop="loop", batch=100),
    FloorSpec(name="bare loop, 1000", loop="loop", batch=1000),
    FloorSpec(name="bare loop, HTTPS", loop="loop", tls=True),
)


def unit(bench: Bench, topic: str, attempts: Attempts) -> tuple[list[Row], float | None]:
    """The row of the unit, and the unit in microseconds; None when it could not be measured."""
    units = [row for _ in range(UNIT_RUNS) for row in attempts.of(UNIT.name, partial(_measured, bench, topic, UNIT))]
    middle = median(row.ours_us for row in units) if units else None
    return sorted(units, key=lambda row: abs(row.ours_us - (middle or 0.0)))[:1], middle


def floors(bench: Bench, topic: str, attempts: Attempts) -> tuple[list[Row], float | None]:
    """The rows of the floors, and the unit in microseconds; None when it could not be measured."""
    shown, middle = unit(bench, topic, attempts)
    others = [row for spec in OTHERS for row in attempts.of(spec.name, partial(_measured, bench, topic, spec))]
    return shown + others, middle


def _measured(bench: Bench, topic: str, spec: FloorSpec) -> list[Row]:
    return [_floor(bench, topic, spec)]


def _floor(bench: Bench, topic: str, spec: FloorSpec) -> Row:
    """Measure one floor in a process of its own."""
    nginx = bench.rig.nginx
    endpoint = ["--url", nginx.https_url, "--ca-file", str(nginx.certificate)] if spec.tls else ["--url", nginx.address]
    command = [sys.executable, "-m", PROGRAM, spec.loop, *endpoint]
    if spec.loop == "loop":
        command += ["--kafka", bench.rig.kafka.address, "--topic", topic, "--batch", str(spec.batch)]
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=FLOOR_TIMEOUT_S,
        check=False,
        env=bench.rig.environment,
    )
    require(answer.returncode == 0, f"{spec.name}: {(answer.stderr.strip().splitlines() or ['no output'])[-1]}")
    known = json.loads(answer.stdout)
    require(known["requests"] > 0 and known["elapsed_s"] > 0, f"{spec.name}: nothing was sent while it was measured")
    return Row(
        name=spec.name,
        elapsed_s=known["elapsed_s"],
        requests=known["requests"],
        records=known["requests"] * spec.batch,
        each="request" if spec.batch == 1 else "record",
        cpu_s={"worker": known["cpu_s"]},
        resident_bytes={"itself": known["resident_bytes"]},
    )
