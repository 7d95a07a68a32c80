"""Installs and fetches what services need ahead of their first start, and says what it did."""

from collections.abc import Callable, Sequence
from pathlib import Path

from stack import install, kafka_jars
from stack.errors import NotStarted

PROGRAMS = (install.JAVA, install.REDIS_SERVER, install.INITDB)
"""What the services of a load test need. Maven is needed only as long as Kafka's jars are missing."""


def run() -> int:
    """Prepare a load test; returns the exit code: 1 when something is missing and cannot be installed or fetched."""
    needed = [*PROGRAMS, *(program for program in kafka_jars.programs() if program not in PROGRAMS)]
    return prepare(needed, kafka_jars.jars)


def prepare(
    programs: Sequence[install.Program],
    jars: Callable[[], Path],
    *,
    may_install: Callable[[], bool] = install.may_install,
) -> int:
    """Install the missing programs, fetch the jars, and print where each is; returns the exit code."""
    try:
        install.require_all(programs, may_install=may_install)
        for program in programs:
            there = install.find(program) is not None
            path = install.require(program, may_install=may_install)
            print(f"stack: {program.name} {'was there' if there else 'installed'}: {path}", flush=True)
        print(f"stack: Kafka {kafka_jars.VERSION}: {jars()}", flush=True)
    except NotStarted as reason:
        print(f"stack: {reason}", flush=True)
        return 1
    return 0
