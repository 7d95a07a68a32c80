"""SIGUSR2 switches debug on, for a time, and off again. A process of its own, which signals itself."""

import json
import subprocess
import sys

import pytest

PROCESS = """
import os, signal, sys, time
from webhookd import logs
from webhookd.debug_signal import DebugSignal
logs.configure("json", sys.argv[1])
DebugSignal(float(sys.argv[2])).install()
log = logs.get("workers.own")
def line(name):
    log.debug(name)
line("before")
os.kill(os.getpid(), signal.SIGUSR2)
line("meanwhile")
if sys.argv[3] == "signal":
    os.kill(os.getpid(), signal.SIGUSR2)
else:
    while logs.levels.debug:
        signal.pause()
line("after")
print(signal.getitimer(signal.ITIMER_REAL)[0])
"""


def run(level: str, for_s: str, end: str) -> tuple[list[dict[str, object]], float]:
    """The lines of the process, and what is left of its timer at the end."""
    ran = subprocess.run(
        [sys.executable, "-c", PROCESS, level, for_s, end], capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in ran.stderr.splitlines()], float(ran.stdout)


@pytest.mark.parametrize("level", ["info", "error"])
def test_second_signal_switches_debug_off(level: str) -> None:
    lines, timer_s = run(level, "900", "signal")
    assert [line["event"] for line in lines] == ["debug_switched_on", "meanwhile", "debug_switched_off"]
    assert (lines[0]["for_s"], lines[-1]["by"], timer_s) == (900.0, "signal", 0.0)


def test_debug_ends_by_itself() -> None:
    lines, _ = run("info", "0.05", "time")
    assert [line["event"] for line in lines] == ["debug_switched_on", "meanwhile", "debug_switched_off"]
    assert lines[-1]["by"] == "time"
