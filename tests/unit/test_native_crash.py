"""A crash in native code is not silent. Real: a process of its own, which is ended by SIGSEGV."""

import signal
import subprocess
import sys

CRASH = """
import os, signal
from command.process_start import process_settings

process_settings()
os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_native_crash_leaves_the_stack_of_each_thread() -> None:
    ended = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGSEGV
    assert b"Fatal Python error: Segmentation fault" in ended.stderr
    assert b'File "<string>"' in ended.stderr
