"""The end of a process that does not end by itself."""

import subprocess
import sys

BLOCKED = """
from command.process_stop import exit_after
from webhookd import logs
logs.configure("json", "info")
exit_after(0.1, "test", 7)
while True:
    logs.get("test").info("x" * 4096)
"""
"""Its log is a pipe that nobody reads: each write blocks once the pipe is full."""

END_S = 60.0


def test_process_ends_although_its_log_is_blocked() -> None:
    with subprocess.Popen([sys.executable, "-c", BLOCKED], stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(END_S) == 7
        finally:
            process.kill()
