"""A receiver in a process of its own that checks the order of records, as a benchmark uses it.

The only place that knows which program the receiver is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import requests

from stack.child import Child, spawn
from stack.free_ports import free_ports
from stack.waiting import until_ready
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.benchmarks.rig.log_folder import LOGS

PROGRAM = ("-m", "webhookd_load_test.benchmarks.endpoints.checking_receiver")
START_TIMEOUT_S = 120.0
ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class CheckingReceiver:
    """A running checking receiver."""

    url: str
    child: Child
    port: int

    def report(self) -> ReceiverReport:
        """Its counts; see endpoints/receiver_report.py."""
        return self._ask("report")

    def reset(self) -> ReceiverReport:
        """Its counts, which then restart."""
        return self._ask("reset")

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            self.report()
        except requests.ConnectionError:
            return False
        return True

    def _ask(self, what: str) -> ReceiverReport:
        answer = requests.get(self.url + what, timeout=ASK_TIMEOUT_S)
        return msgspec.json.decode(answer.content, type=ReceiverReport)


@contextmanager
def checking_receiver(delay_s: float) -> Iterator[CheckingReceiver]:
    """Run a receiver that answers after `delay_s`. Raises NotStarted when it does not start."""
    port = free_ports(1)[0]
    command = [sys.executable, *PROGRAM, "--port", str(port), "--delay-s", str(delay_s)]
    child = spawn(command, log_file=LOGS / "receiver.log")
    receiver = CheckingReceiver(f"http://127.0.0.1:{port}/", child, port)
    try:
        until_ready("receiver", receiver.answers, [child], START_TIMEOUT_S)
        yield receiver
    finally:
        child.stop()
