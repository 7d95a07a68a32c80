"""The receiver of the isolation benchmark; some of its endpoints can be made to hang.

path              response
/healthy/N        200 at once
/switchable/N     200 at once; while `hanging` the request is read and recorded, but never answered
/half/N           500 when the first record is from an odd partition, else 200
"""

import re
import time
from collections import defaultdict
from types import TracebackType
from typing import Self

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.http_exchange import Misbehaviour
from webhookd_load_test.run_folder.units import NS_PER_MS

SENT = re.compile(rb'"sent_ns":"0*([1-9]\d*)"')
PARTITION = re.compile(rb'"partition":(\d+)')
OK, REFUSAL, HANGING = Answer(), Answer(status=500), Answer(misbehaviour=Misbehaviour.HANG)


class SwitchableReceiver:
    """A context that serves on its own thread. `arrivals` has monotonic times by path, `refused` has partitions."""

    def __init__(self) -> None:
        self.hanging = False
        self._late_ms: list[float] = []
        self.refused: set[int] = set()
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self._endpoint = HttpEndpoint(self._answer)

    def __enter__(self) -> Self:
        self._endpoint.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._endpoint.__exit__(kind, error, trace)

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self._endpoint.url}/{path}"

    def take_latencies_ms(self) -> list[float]:
        """The latencies of the records at the healthy endpoints since the last call."""
        taken, self._late_ms = self._late_ms, []
        return taken

    def _answer(self, request: ReceivedRequest) -> Answer:
        path, body = request.path, request.body
        self.arrivals[path].append(time.monotonic())
        if path.startswith("/switchable") and self.hanging:
            return HANGING
        if path.startswith("/healthy"):
            self._late_ms.extend((request.received_ns - int(sent)) / NS_PER_MS for sent in SENT.findall(body))
        return REFUSAL if path.startswith("/half") and self._refuses(body) else OK

    def _refuses(self, body: bytes) -> bool:
        found = PARTITION.search(body)
        if found is None or int(found[1]) % 2 == 0:
            return False
        self.refused.add(int(found[1]))
        return True
