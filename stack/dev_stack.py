"""The developer's stack: fixed ports, started and stopped by hand, one per checkout."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stack.errors import NotStarted
from stack.kafka import KafkaOptions
from stack.kafka_jars import ROOT
from stack.scratch import is_locked
from stack.service_group import ServiceGroup
from stack.signals import Interrupted, raise_on_signals

KAFKA_PORT, REDIS_PORT, POSTGRES_PORT = 19092, 16379, 15432
DATABASE = "webhookd"

STATE = ROOT / ".state" / "stack"
OWNER_FILE = STATE / "owner"
ENVIRONMENT_FILE = STATE / "environment"
LOG_FILE = STATE / "log"

UP_TIMEOUT_S = 600.0
"""The first start fetches Kafka's jars and may install packages."""

DOWN_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.1


def up(broker_count: int) -> int:
    """Start Kafka, Redis and Postgres with empty data, and keep them running until Ctrl-C or `down`."""
    raise_on_signals()
    try:
        with _locked(), ServiceGroup() as services:
            environment = _start(services, broker_count)
            print(environment, end="", flush=True)
            ENVIRONMENT_FILE.write_text(environment)
            signal.pause()
    except NotStarted as reason:
        print(f"stack: {reason}", flush=True)
        return 1
    except Interrupted:
        print("stack: down", flush=True)
    return 0


def up_detached(broker_count: int) -> int:
    """Start the same in the background; returns when all services answer."""
    if is_locked(OWNER_FILE):
        print("stack: already up; `make down` stops it")
        return 0
    STATE.mkdir(parents=True, exist_ok=True)
    ENVIRONMENT_FILE.unlink(missing_ok=True)  # a killed stack leaves it behind, and the file means that all is up
    with LOG_FILE.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stack", "up", "--brokers", str(broker_count)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        return _report(process)
    except KeyboardInterrupt:
        process.terminate()
        return 128 + signal.SIGINT


def _report(process: "subprocess.Popen[bytes]") -> int:
    """Wait until it is up or has failed, and print its output."""
    deadline = time.monotonic() + UP_TIMEOUT_S
    while process.poll() is None and not ENVIRONMENT_FILE.exists() and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_S)
    print(LOG_FILE.read_text(), end="")
    if not ENVIRONMENT_FILE.exists():
        process.terminate()
        return 1
    environment = ENVIRONMENT_FILE.relative_to(ROOT)
    print(f"stack: up; `make service` runs webhookd on it, `. {environment}` sets the environment of a shell,")
    print("`make down` stops it and deletes its data")
    return 0


def down() -> int:
    """Stop the stack of this checkout and wait for its end."""
    if not is_locked(OWNER_FILE):
        print("stack: nothing is up")
        return 0
    os.kill(int(OWNER_FILE.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while is_locked(OWNER_FILE):
        if time.monotonic() > deadline:
            print(f"stack: process {OWNER_FILE.read_text()} does not stop")
            return 1
        time.sleep(POLL_INTERVAL_S)
    print("stack: down")
    return 0


@contextmanager
def _locked() -> Iterator[None]:
    """Hold the checkout's lock file, which has this process' pid. Raises NotStarted when another process holds it."""
    STATE.mkdir(parents=True, exist_ok=True)
    with OWNER_FILE.open("a+") as owner:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise NotStarted("already up; `make down` stops it") from taken
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        try:
            yield
        finally:
            ENVIRONMENT_FILE.unlink(missing_ok=True)


def _start(services: ServiceGroup, broker_count: int) -> str:
    """Start all services; returns the text of ENVIRONMENT_FILE: their addresses for webhookd and its tests."""
    ports = [KAFKA_PORT + i for i in range(2 * broker_count)]
    kafka = services.start_kafka(KafkaOptions(brokers=broker_count), ports)
    redis = services.start_redis(REDIS_PORT)
    postgres = services.start_postgres(POSTGRES_PORT)
    services.wait_ready()
    tests = {
        "WEBHOOKD_TEST_KAFKA": kafka.address,
        "WEBHOOKD_TEST_REDIS": redis.address,
        "WEBHOOKD_TEST_POSTGRES": postgres.address,
    }
    database_url = postgres.create_database(DATABASE)
    return environment_text(kafka=kafka.address, redis=redis.address, database_url=database_url) + _exports(tests)


def environment_text(*, kafka: str, redis: str, database_url: str) -> str:
    """The shell lines that point `webhookd` at these services, put it on the PATH and allow endpoints on loopback."""
    variables = {
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "WEBHOOKD_REDIS_URL": redis,
        "WEBHOOKD_DATABASE_URL": database_url,
        "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
    }
    commands = Path(sys.executable).parent
    return f"export PATH={shlex.quote(str(commands))}:$PATH\n{_exports(variables)}"


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
