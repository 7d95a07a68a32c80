"""Runs a command with real services, which are stopped when it ends."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

from stack import parent_death, subreaper
from stack.child import spawn
from stack.errors import NotStarted
from stack.service_group import Service, ServiceGroup
from stack.signals import Interrupted, raise_on_signals

COMMAND_STOP_TIMEOUT_S = 30.0
"""pytest tears down its fixtures, and the processes that tests have started, in this time."""


def run(command: Sequence[str]) -> int:
    """Run a command with WEBHOOKD_TEST_KAFKA, _REDIS and _POSTGRES set; returns its exit code.

    A service whose variable is already set is used, not started. A service that cannot be started is printed: with
    CI=true the command is then not run and the exit code is 1, else it runs without the service. In any case no process
    is left running.
    """
    raise_on_signals()
    parent_death.die_with_parent(os.getppid(), signal.SIGTERM)
    subreaper.become_subreaper()
    try:
        with ServiceGroup() as services:
            return _run_in(services, command)
    except Interrupted as interrupted:
        return interrupted.exit_code
    finally:
        subreaper.kill_adopted()


def _run_in(services: ServiceGroup, command: Sequence[str]) -> int:
    addresses, missing = _start_missing(services)
    for line in missing:
        print(f"stack: {line}", flush=True)
    if missing and os.environ.get("CI") == "true":
        print("stack: CI=true, so a missing service is a failure", flush=True)
        return 1
    for variable, address in addresses.items():
        print(f"stack: {variable}={address}", flush=True)
    return _run_command(command, {**os.environ, **addresses})


def _start_missing(services: ServiceGroup) -> tuple[dict[str, str], list[str]]:
    """Start the missing services; returns their addresses by variable, and a line for each that cannot be started.

    All are started before it waits for the first one, so together they take as long as the slowest.
    """
    starts: dict[str, Callable[[], Service]] = {
        "WEBHOOKD_TEST_KAFKA": services.start_kafka,
        "WEBHOOKD_TEST_REDIS": services.start_redis,
        "WEBHOOKD_TEST_POSTGRES": services.start_postgres,
    }
    started: dict[str, Service] = {}
    missing: list[str] = []
    for variable in [name for name in starts if not os.environ.get(name)]:
        with _recording_failure(missing, variable):
            started[variable] = starts[variable]()
    addresses: dict[str, str] = {}
    for variable, service in started.items():
        with _recording_failure(missing, variable):
            service.wait_ready()
            addresses[variable] = service.address
    return addresses, missing


@contextlib.contextmanager
def _recording_failure(missing: list[str], variable: str) -> Iterator[None]:
    try:
        yield
    except NotStarted as reason:
        missing.append(f"no {variable}: {reason}")


def _run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    child = spawn(command, environment=environment, stop_signal=signal.SIGINT, parent_death_signal=signal.SIGTERM)
    try:
        return child.wait()
    finally:
        child.stop(COMMAND_STOP_TIMEOUT_S)
