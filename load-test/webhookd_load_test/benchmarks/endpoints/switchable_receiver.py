"""The receiver of the isolation benchmark; some of its endpoints can be made to hang.

path              response
/healthy/N        200 at once
/switchable/N     200 at once; while `hanging` the request is read and recorded, but never answered
/half/N           500 when the first record is from an odd partition, else 200
"""

import asyncio
import re
import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Self

SENT = re.compile(rb'"sent_ns":"0*([1-9]\d*)"')
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
PARTITION = re.compile(rb'"partition":(\d+)')
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class SwitchableReceiver:
    """A context that serves on its own thread. `arrivals` has monotonic times by path, `refused` has partitions."""

    def __init__(self) -> None:
        self.hanging = False
        self.port = 0
        self._late_ms: list[float] = []
        self.refused: set[int] = set()
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def take_latencies_ms(self) -> list[float]:
        """The latencies of the records at the healthy endpoints since the last call."""
        taken, self._late_ms = self._late_ms, []
        return taken

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        path = head.split(b" ", 2)[1].decode()
        self.arrivals[path].append(time.monotonic())
        if path.startswith("/switchable") and self.hanging:
            await reader.read()  # until the client gives up
            return False
        if path.startswith("/healthy"):
            now_ns = time.time_ns()
            self._late_ms.extend((now_ns - int(sent)) / 1e6 for sent in SENT.findall(body))
        writer.write(REFUSAL if path.startswith("/half") and self._refuses(body) else OK)
        await writer.drain()
        return True

    def _refuses(self, body: bytes) -> bool:
        found = PARTITION.search(body)
        if found is None or int(found[1]) % 2 == 0:
            return False
        self.refused.add(int(found[1]))
        return True
