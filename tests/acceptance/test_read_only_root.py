"""Every process works where nothing is writable, under a user without a name and a home, or says what it needs.

Oracles: a delivery that arrives, exit codes and output. Real: every process and service, and the kernel's mounts.
"""

import json
import subprocess
import sys
import uuid
from pathlib import Path

from stack.free_ports import free_ports
from tests.harness.command_process import CommandProcess
from tests.harness.databases import new_database
from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from tests.harness.read_only_root import read_only_root
from tests.harness.receiver import Receiver
from webhookd.errors import NoTemporaryDirectory

PREMISE = """
import os, pwd, tempfile
found = [os.getuid(), os.path.expanduser("~")]
for attempt in (tempfile.gettempdir, lambda: pwd.getpwuid(os.getuid()), lambda: open("/here", "w")):
    try:
        found.append(attempt())
    except (OSError, KeyError) as error:
        found.append(type(error).__name__)
print(*found)
"""


def test_nothing_is_writable_there() -> None:
    line = [*read_only_root(shared_memory=False), sys.executable, "-c", PREMISE]
    found = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout.split()
    assert found == ["54321", "~", "FileNotFoundError", "KeyError", "OSError"]


def test_service_delivers(kafka_bootstrap: str, redis_url: str, tmp_path: Path) -> None:
    with (
        new_database("postgres", tmp_path) as database,
        Receiver() as receiver,
        CommandProcess(
            "migrate",
            environment={"WEBHOOKD_DATABASE_URL": database},
            wrapper=read_only_root(shared_memory=False),
        ) as migrate,
    ):
        assert migrate.wait() == 0
        pipeline = Pipeline(
            tmp_path,
            kafka=kafka_bootstrap,
            redis=redis_url,
            database=database,
            settings={},
            wrapper=read_only_root(shared_memory=True),
        )
        with pipeline:
            topic = pipeline.topic(partitions=1)
            id_ = pipeline.subscribe(receiver.url, topic)
            pipeline.produce(topic, [json.dumps({"n": 1}).encode()], partitions=1)
            pipeline.wait_committed(id_, topic)
        until(lambda: len(receiver.requests) == 1, "the record has arrived")


def test_flower_and_receiver_start(redis_url: str) -> None:
    wrapper = read_only_root(shared_memory=False)
    settings = {
        "WEBHOOKD_REDIS_URL": redis_url,
        "WEBHOOKD_REDIS_KEY_PREFIX": f"test-{uuid.uuid4().hex}:",
        "FLOWER_PORT": str(free_ports(1)[0]),
    }
    with (
        CommandProcess("flower", environment=settings, wrapper=wrapper) as flower,
        CommandProcess("receive", "--port", "0", wrapper=wrapper) as receiver,
    ):
        flower.wait_for("flower_ready")
        receiver.wait_for("listening on")


def test_what_needs_a_directory_says_so_in_one_line() -> None:
    wrapper = read_only_root(shared_memory=False)
    with CommandProcess("api", wrapper=wrapper) as api, CommandProcess("demo", wrapper=wrapper) as demo:
        assert [process.wait() for process in (api, demo)] == [1, 1]
    assert demo.output == f"Error: {NoTemporaryDirectory()}\n"
    last = json.loads(api.output.splitlines()[-1])
    assert (last["event"], last["detail"]) == ("no_temporary_directory", str(NoTemporaryDirectory()))
