"""The benchmark: `make bench`, or `make bench CASES="batch-1 filter"`.

    python load-test/bench.py [--records 3000000] [--seconds 8] [case …]
    python load-test/bench.py --short [case …]

Starts its own Kafka, Redis, Postgres, nginx and the real `webhookd` processes, delivers a backlog case by case, and
prints each case beside the floors (see floors.py) of the same run. Takes some ten minutes; stops all that it started,
also on failure or Ctrl-C.

A case or floor that delivers nothing fails: its name is printed, the others continue, and the exit code is 1. A case
that loses, repeats or reorders records fails too, and `workers` fails when threads are idle while work waits.

`--short` is a functional test and takes half a minute: each case delivers a few thousand records, all of them, once and
in order; no figure is asserted. It uses the services in WEBHOOKD_TEST_KAFKA, _REDIS and _POSTGRES.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench_case import Bench, CheckingSink, NginxSink
from case_table import CASES
from cases import BACKLOG_PARTITIONS, BACKLOG_TOPIC
from floor_rows import floors
from publish import backlog, create_topics
from rig import Rig
from short_rig import ShortRig
from stack.errors import NotStarted
from stack.signals import Interrupted, raise_on_signals
from table import Row, print_table

SHORT_RECORDS = 4000
SHORT_SECONDS = 1.0


class Attempts:
    """Runs measurements, and records the names of those that failed."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def of(self, name: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """Run a measurement; returns its rows, or none when it failed for any reason."""
        _say(name)
        try:
            rows = measure()
        except Exception as error:  # noqa: BLE001 - an error of one case must not stop the others
            self._fail(name, str(error) or repr(error))
            return []
        for fault in {row.fault for row in rows if row.fault}:
            self._fail(name, fault)
        return rows

    def _fail(self, name: str, reason: str) -> None:
        _say(f"FAILED {name}: {reason}")
        self.failed.append(name)

    def exit_code(self) -> int:
        """Print the failed names; returns 1 when there are any."""
        if self.failed:
            print(f"\nFAILED: {', '.join(self.failed)}")
        return 1 if self.failed else 0


def main() -> int:
    """Run the chosen cases; returns the exit code: 1 when one could not be measured, or failed its checks."""
    arguments = _arguments()
    raise_on_signals()
    try:
        return _short(arguments.cases) if arguments.short else _long(arguments)
    except NotStarted as reason:
        print(f"bench: {reason}")
        return 1
    except Interrupted as interrupted:
        return interrupted.exit_code


def _long(arguments: argparse.Namespace) -> int:
    with Rig() as rig:
        _say(f"producing {arguments.records:,} records of 300 bytes")
        create_topics(rig.kafka.address, {BACKLOG_TOPIC: BACKLOG_PARTITIONS})
        backlog(rig.kafka.address, BACKLOG_TOPIC, BACKLOG_PARTITIONS, arguments.records)
        bench = Bench(rig=rig, sink=NginxSink(rig), backlog=arguments.records, seconds=arguments.seconds)
        attempts = Attempts()
        rows, unit_us = floors(bench, BACKLOG_TOPIC, attempts)
        rows += run_cases(attempts, {name: CASES[name] for name in arguments.cases}, bench, unit_us)
        print_table(rows, unit_us)
        return attempts.exit_code()


def run_cases(
    attempts: Attempts, cases: Mapping[str, Callable[[Bench], list[Row]]], bench: Bench, unit_us: float | None
) -> list[Row]:
    """Run the cases one after another; returns the rows of those that did not fail."""
    rows: list[Row] = []
    for name, case in cases.items():
        measured = attempts.of(name, lambda: case(bench))  # noqa: B023 - called at once
        for row in measured:
            _say(row.line(unit_us))
        rows += measured
    return rows


def _short(names: Sequence[str]) -> int:
    attempts = Attempts()
    with ShortRig() as rig:
        topic = rig.prefix + BACKLOG_TOPIC
        create_topics(rig.kafka.address, {topic: BACKLOG_PARTITIONS})
        backlog(rig.kafka.address, topic, BACKLOG_PARTITIONS, SHORT_RECORDS)
        for name in names:
            with _checking(rig) as bench:
                run_cases(attempts, {name: CASES[name]}, bench, None)
    return attempts.exit_code()


@contextmanager
def _checking(rig: ShortRig) -> Iterator[Bench]:
    """A separate receiver for each case, so that it checks the order of this case only."""
    with rig.receiver() as receiver:
        yield Bench(
            rig=rig,
            sink=CheckingSink(rig, receiver),
            backlog=SHORT_RECORDS,
            seconds=SHORT_SECONDS,
            short=True,
            prefix=rig.prefix,
        )


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of: {' '.join(CASES)}; all when none is given")
    parser.add_argument("--records", type=int, default=3_000_000, help="records in the backlog")
    parser.add_argument("--seconds", type=float, default=8.0, help="measuring time of each case")
    parser.add_argument("--short", action="store_true", help="a functional test: few records, no floors, no figures")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    arguments.cases = arguments.cases or list(CASES)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
