"""A scenario on a stack of its own: a worker is killed, everything arrives, and no process is left.

Oracles: the exit code, what the run folder says, and /proc. Everything is real; one broker, to be cheap.
"""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from webhookd_load_test.run_folder import facts, result, samples
from webhookd_load_test.run_folder.paths import RunFolder

SCENARIO = """
summary = "a worker is killed"
[load]
rows = 200
duration_s = 4
partitions = 2
[stack]
settings = { WEBHOOKD_LEASE_S = "2", WEBHOOKD_CLAIM_TIMEOUT_S = "3" }
[[subscriptions]]
name = "orders"
[[timeline]]
at_s = 1
do = "kill_worker"
for_s = 0
"""
PATIENCE_S = 300.0


def test_worker_is_killed_and_everything_arrives(tmp_path: Path) -> None:
    scenario = tmp_path / "own.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    folder, mark = RunFolder(tmp_path / "run"), uuid.uuid4().hex
    command = [sys.executable, "-m", "webhookd_load_test.main", "run", str(scenario), "--folder", str(folder.path)]
    ended = subprocess.run(
        [*command, "--no-headroom"],
        env={**os.environ, "LOAD_TEST_MARK": mark},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (orders,) = result.read(folder.result).subscriptions
    assert (orders.expected, orders.delivered, orders.disorders) == (200, 200, 0)
    happened = [event.text for event in facts.read(folder.facts).events if event.kind == "process"]
    assert happened == ["one worker process killed", "one worker process started again"]
    names = {name for sample in samples.read(folder.samples) for name in sample.processes}
    assert names == {"api", "ingest-0", "worker-0", "kafka", "redis", "postgres"}
    assert processes_with(mark) == []


def processes_with(mark: str) -> list[str]:
    """The processes with this text in their environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            inherited = file.read_bytes()
        except OSError:  # it has ended, or belongs to another user
            continue
        if mark.encode() in inherited:
            found.append(file.parent.name)
    return found
