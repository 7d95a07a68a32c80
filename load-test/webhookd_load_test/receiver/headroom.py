"""Measures how many records a second the receiver takes when nothing else is measured."""

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stack.child import Child, spawn
from stack.errors import NotStarted
from stack.waiting import until_ready
from webhookd_load_test.receiver.load_client import PATH, RUNNING, SECRET
from webhookd_load_test.receiver.receiver_processes import ReceiverFailedError, ReceiverProcesses
from webhookd_load_test.run_folder.paths import RunFolder

CLIENT = "webhookd_load_test.receiver.load_client"
MEASURED_S = 2.0
START_S = 30.0


def measure(folder: Path, batch: int, payload_bytes: int, processes: int, *, measured_s: float = MEASURED_S) -> float:
    """Return how many records a second so many processes of the receiver verify and save; takes some seconds.

    Each has a client process of its own, which sends signed deliveries of `batch` records with values of
    `payload_bytes`. What is only queued for SQLite does not count. The files are written in a folder within `folder`,
    which is removed. Call it on the main thread. Raises ReceiverFailedError.
    """
    with contextlib.ExitStack() as stack:
        own = Path(tempfile.mkdtemp(prefix="headroom-", dir=folder))
        stack.callback(shutil.rmtree, own, ignore_errors=True)
        receiver = stack.enter_context(
            ReceiverProcesses(
                folder=RunFolder(own),
                processes=processes,
                faults=[],
                seed=1,
                secrets={PATH: SECRET},
                keep_values=True,
            )
        )
        stack.enter_context(_clients(own, receiver.port, batch, payload_bytes, processes))
        before, began = _saved(receiver, batch), time.monotonic()
        time.sleep(measured_s)
        return (_saved(receiver, batch) - before) / (time.monotonic() - began)


def _saved(receiver: ReceiverProcesses, batch: int) -> int:
    counts = receiver.counts()
    return counts.records - counts.waiting * batch


@contextlib.contextmanager
def _clients(folder: Path, port: int, batch: int, payload_bytes: int, count: int) -> Iterator[None]:
    """A context in which so many clients post. Raises ReceiverFailedError when one has ended before its end."""
    clients: list[Child] = []
    try:
        for number in range(count):
            command = [sys.executable, "-m", CLIENT, str(port), str(batch), str(payload_bytes)]
            clients.append(spawn(command, log_file=folder / f"client-{number}.log"))
        until_ready("the receiver", lambda: all(one.tail(1) == RUNNING for one in clients), clients, START_S)
        yield
        if ended := next((one for one in clients if one.exit_code is not None), None):
            raise ReceiverFailedError(f"a client of the receiver has ended: {ended.tail(1)}")
    except NotStarted as error:
        raise ReceiverFailedError(" ".join(str(error).split())) from None
    finally:
        for client in clients:
            client.kill()
