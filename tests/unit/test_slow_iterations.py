"""Stuck iterations of the ingest loop are found in logs of either format."""

import subprocess
import sys

import pytest

from tests.harness.slow_iterations import stuck_iterations

WATCHDOG = """
import sys
from webhookd import logs
from workers.ingest.monitoring.loop_watchdog import LoopWatchdog
logs.configure(sys.argv[1], "info")
watchdog = LoopWatchdog(iteration=lambda: 7, thread_id=lambda: None)
for _ in range(30):
    watchdog.check()
"""
"""Runs in a process of its own: the format of logs is set once for each process."""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_stuck_iteration_is_found_in_the_log_of_the_watchdog(log_format: str) -> None:
    ran = subprocess.run([sys.executable, "-c", WATCHDOG, log_format], capture_output=True, text=True, check=True)
    assert len(stuck_iterations(ran.stderr)) == 1
