"""The developer's stack: fixed ports, started and stopped by hand, one per checkout."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stack import install, kafka_jars, stack_data
from stack.errors import NotStarted
from stack.free_ports import usual_or_free
from stack.kafka import KafkaOptions
from stack.kafka_jars import ROOT
from stack.scratch import is_locked
from stack.service_group import ServiceGroup
from stack.signals import Interrupted, raise_on_signals
from stack.single_owner import owned
from webhookd.store import secret_keys

KAFKA_PORT, REDIS_PORT, POSTGRES_PORT = 19092, 16379, 15432
DATABASE = "webhookd"
SECRET_KEY_FOLDER = ROOT / ".state"
COMMANDS = Path(sys.executable).parent
"""The folder of the command `webhookd`."""

STATE = ROOT / ".state" / "stack"
OWNER_FILE = STATE / "owner"
ENVIRONMENT_FILE = STATE / "environment"
DATA_FILE = STATE / "data"
"""Holds what `down` needs to say what it deletes: Kafka's address and the directory of all data."""

LOG_FILE = STATE / "log"

UP_TIMEOUT_S = 600.0
"""The first start fetches Kafka's jars and may install packages."""

DOWN_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.1


def up(broker_count: int) -> int:
    """Start Kafka, Redis and Postgres with empty data, and keep them running until Ctrl-C or `down`."""
    raise_on_signals()
    try:
        with _owned(), ServiceGroup() as services:
            environment = _start(services, broker_count)
            print(_next_steps(), flush=True)  # before the file, with which `up_detached` has seen enough
            ENVIRONMENT_FILE.write_text(environment)
            signal.pause()
    except NotStarted as reason:
        print(f"stack: {reason}", flush=True)
        return 1
    except Interrupted:
        print("stack: down, and its data are deleted", flush=True)
    return 0


def up_detached(broker_count: int) -> int:
    """Start the same in the background; returns when all services answer."""
    if is_locked(OWNER_FILE):
        print(f"stack: already up; `make down` stops it and deletes its data\n{_next_steps()}")
        return 0
    STATE.mkdir(parents=True, exist_ok=True)
    ENVIRONMENT_FILE.unlink(missing_ok=True)  # a killed stack leaves it behind, and the file means that all is up
    print("stack: starting Kafka, Redis and Postgres", flush=True)
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
    """Print what it says until it is up or has failed."""
    deadline = time.monotonic() + UP_TIMEOUT_S
    with LOG_FILE.open() as log:
        while process.poll() is None and not ENVIRONMENT_FILE.exists() and time.monotonic() < deadline:
            print(log.read(), end="", flush=True)
            time.sleep(POLL_INTERVAL_S)
        print(log.read(), end="")
    if not ENVIRONMENT_FILE.exists():
        process.terminate()
        return 1
    return 0


def _next_steps() -> str:
    """What to do with a stack that is up."""
    environment = ENVIRONMENT_FILE.relative_to(ROOT)
    return f"""stack: up; next:
  make service                     runs webhookd on it, in this terminal
  . {environment}   makes a shell know `webhookd` and these addresses; then for example:
  webhookd topic create orders     and webhookd topic produce orders, webhookd topic tail orders, webhookd receive
  make down                        stops it and deletes its data"""


def down() -> int:
    """Stop the stack of this checkout and wait for its end."""
    if not is_locked(OWNER_FILE):
        print("stack: nothing is up, so nothing is stopped or deleted")
        return 0
    data = _data()
    print(f"stack: stopping Kafka, Redis and Postgres, and deleting {data}", flush=True)
    os.kill(int(OWNER_FILE.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while is_locked(OWNER_FILE):
        if time.monotonic() > deadline:
            print(f"stack: process {OWNER_FILE.read_text()} does not stop")
            return 1
        time.sleep(POLL_INTERVAL_S)
    print("stack: down, and its data are deleted")
    return 0


def _data() -> str:
    """What the running stack holds."""
    if not DATA_FILE.exists():  # it is just starting
        return "their data"
    kafka, _, directory = DATA_FILE.read_text().partition("\n")
    return stack_data.described(kafka, Path(directory))


@contextmanager
def _owned() -> Iterator[None]:
    """Own the checkout's stack. Raises NotStarted when another process does."""
    with owned(OWNER_FILE, "already up (process {pid}); `make down` stops it"):
        DATA_FILE.unlink(missing_ok=True)
        try:
            yield
        finally:
            ENVIRONMENT_FILE.unlink(missing_ok=True)
            DATA_FILE.unlink(missing_ok=True)


def _start(services: ServiceGroup, broker_count: int) -> str:
    """Start all services; returns the text of ENVIRONMENT_FILE: their addresses for webhookd and its tests."""
    install.require_all([*kafka_jars.programs(), install.REDIS_SERVER, install.INITDB])
    ports = [_port("Kafka", KAFKA_PORT + i) for i in range(2 * broker_count)]
    kafka = services.start_kafka(KafkaOptions(brokers=broker_count), ports)
    redis = services.start_redis(_port("Redis", REDIS_PORT))
    postgres = services.start_postgres(_port("Postgres", POSTGRES_PORT))
    services.wait_ready()
    DATA_FILE.write_text(f"{kafka.address}\n{services.directory}")
    print(f"stack: Kafka at {kafka.address}, Redis at {redis.address}, Postgres at {postgres.address}", flush=True)
    tests = {
        "WEBHOOKD_TEST_KAFKA": kafka.address,
        "WEBHOOKD_TEST_REDIS": redis.address,
        "WEBHOOKD_TEST_POSTGRES": postgres.address,
    }
    database_url = postgres.create_database(DATABASE)
    return environment_text(kafka=kafka.address, redis=redis.address, database_url=database_url) + _exports(tests)


def _port(service: str, usual: int) -> int:
    """The usual port, or a free one if something else listens there."""
    port = usual_or_free(usual)
    if port != usual:
        print(f"stack: port {usual} is taken, so {service} gets {port}", flush=True)
    return port


def environment_text(*, kafka: str, redis: str, database_url: str) -> str:
    """The shell lines that point `webhookd` at these services, put it on the PATH and allow endpoints on loopback."""
    variables = service_settings(kafka=kafka, redis=redis, database_url=database_url)
    return f"export PATH={shlex.quote(str(COMMANDS))}:$PATH\n{_exports(variables)}"


def secret_key_settings() -> dict[str, str]:
    """The environment variable for the key of this checkout, in a file that is made if missing; none if one is set."""
    if {"WEBHOOKD_SECRET_KEYS", "WEBHOOKD_SECRET_KEYS_FILE"} & os.environ.keys():
        return {}
    SECRET_KEY_FOLDER.mkdir(parents=True, exist_ok=True)
    return {"WEBHOOKD_SECRET_KEYS_FILE": str(secret_keys.key_file(SECRET_KEY_FOLDER))}


def service_settings(*, kafka: str, redis: str, database_url: str) -> dict[str, str]:
    """The environment variables that point webhookd at these services and allow endpoints on loopback."""
    return {
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "WEBHOOKD_REDIS_URL": redis,
        "WEBHOOKD_DATABASE_URL": database_url,
        "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
        **secret_key_settings(),
    }


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
