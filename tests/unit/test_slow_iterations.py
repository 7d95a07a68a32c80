"""Logs of either format tell whether an ingest loop was stuck."""

import subprocess
import sys

import pytest

from tests.harness.slow_iterations import stuck_turns

WATCHING = """
import sys
from webhookd import logs
from workers.ingest.monitoring.loop_watchdog import LoopWatchdog
logs.configure(sys.argv[1], "info")
watchdog = LoopWatchdog(iteration=lambda: 7, thread_id=lambda: None)
for _ in range(30):
    watchdog.check()
"""
"""In a process of its own: how a process logs is chosen once."""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_stuck_turn_is_found_in_what_the_watchdog_logs(log_format: str) -> None:
    said = subprocess.run([sys.executable, "-c", WATCHING, log_format], capture_output=True, text=True, check=True)
    assert len(stuck_turns(said.stderr)) == 1
