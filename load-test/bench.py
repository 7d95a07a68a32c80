"""The benchmark: `make bench`, or `make bench CASES="batch-1 filter"`.

    python load-test/bench.py [--records 3000000] [--seconds 8] [case …]

Starts its own Kafka, Redis, Postgres, nginx and the real `webhookd` processes, delivers a backlog case by case, and
prints each case beside the floors of the same run. Takes some six minutes; stops all it
started, also on failure or Ctrl-C.
"""

import argparse
import sys
import time
from statistics import median

from cases import BACKLOG_PARTITIONS, BACKLOG_TOPIC, CASES, Bench, floor
from publish import backlog, create_topics
from rig import Rig
from stack.interruption import Interrupted, raise_on_signals
from table import Row, print_table

UNIT_RUNS = 3
"""The unit is the median of so many: everything is divided by it."""


def main() -> int:
    """Run the chosen cases; answers the exit code: 1 when one could not be measured."""
    arguments = _arguments()
    raise_on_signals()
    try:
        with Rig() as rig:
            _say(f"producing {arguments.records:,} records of 300 bytes")
            create_topics(rig.kafka.address, {BACKLOG_TOPIC: BACKLOG_PARTITIONS})
            backlog(rig.kafka.address, BACKLOG_TOPIC, BACKLOG_PARTITIONS, arguments.records)
            bench = Bench(rig=rig, backlog=arguments.records, seconds=arguments.seconds)
            return _run(bench, arguments.cases)
    except Interrupted as interrupted:
        return interrupted.exit_code


def _run(bench: Bench, names: list[str]) -> int:
    _say("floors")
    rows = _floors(bench)
    unit_us = rows[0].ours_us
    failed = 0
    for name in names:
        _say(f"case {name}")
        try:
            done = CASES[name](bench)
        except (RuntimeError, TimeoutError) as error:
            failed += 1
            _say(str(error))
            continue
        for row in done:
            _say(row.line(unit_us))
        rows += done
    print_table(rows, unit_us)
    return 1 if failed else 0


def _floors(bench: Bench) -> list[Row]:
    units = sorted((floor(bench, "libcurl multi", ["curl"]) for _ in range(UNIT_RUNS)), key=lambda row: row.ours_us)
    _say("the unit, run by run: " + ", ".join(f"{row.ours_us:.1f} µs" for row in units))
    middle = median(row.ours_us for row in units)
    return [
        next(row for row in units if row.ours_us == middle),
        floor(bench, "libcurl multi, HTTPS", ["curl"], tls=True),
        floor(bench, "bare loop, batch 1", ["loop"]),
        floor(bench, "bare loop, 100", ["loop"], batch=100),
        floor(bench, "bare loop, 1000", ["loop"], batch=1000),
        floor(bench, "bare loop, HTTPS", ["loop"], tls=True),
    ]


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of: {' '.join(CASES)}; all when none is given")
    parser.add_argument("--records", type=int, default=3_000_000, help="in the backlog")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured for each case")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    arguments.cases = arguments.cases or list(CASES)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
