"""Converters may be used by threads that begin at the same moment.

The race is run in a process of its own, since what it is about ends a process with a segmentation fault. Without the
converter's preparation it does so within some tens of rounds.
"""

import subprocess
import sys

import msgspec
import pytest

from webhookd.conversion import converter

RACE = """
import sys, threading
from dataclasses import make_dataclass
from webhookd.conversion import converter

sys.setswitchinterval(1e-6)
for _ in range(300):
    inner = make_dataclass("Inner", [("a", int), ("b", str)])
    outer = make_dataclass("Outer", [(f"f{number}", inner | None, None) for number in range(20)])
    convert, start = converter(outer), threading.Barrier(4)
    document = {"f0": {"a": 1, "b": "x"}, "f19": {"a": 1, "b": "x"}}
    threads = [threading.Thread(target=lambda: (start.wait(), convert(document))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_convert_for_the_first_time_at_the_same_moment() -> None:
    ended = subprocess.run([sys.executable, "-c", RACE], capture_output=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_document_that_does_not_fit_is_refused() -> None:
    convert = converter(int | dict[str, int])
    assert [convert(1), convert({"a": 2})] == [1, {"a": 2}]
    with pytest.raises(msgspec.ValidationError):
        convert("1")
