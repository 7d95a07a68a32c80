"""Resolves names to addresses on separate threads: `getaddrinfo` blocks and has no timeout."""

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial

from webhookd import logs

Resolver = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host, best first. Blocks. Raises OSError when there are none."""

LookupResult = Sequence[str] | OSError
OnResult = Callable[[LookupResult], None]
CallSoon = Callable[[Callable[[], None]], None]
"""Schedules a call on the loop's thread; callable from any thread."""

_log = logs.get(__name__)


def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver; returns its addresses in its order, without duplicates."""
    result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in result))


class DnsResolver:
    """Runs one look-up per host at a time for all callers that wait for it, so a host that hangs holds one thread.

    `look_up` is called on the loop's thread, and so is `on_result`. A look-up cannot be cancelled: the caller ignores a
    late result. The threads are daemon threads, so a resolver that hangs does not prevent the end of the process.
    """

    def __init__(self, resolver: Resolver, call_soon: CallSoon, max_threads: int) -> None:
        self._resolver = resolver
        self._call_soon = call_soon
        self._max_threads = max_threads
        self._threads = 0
        self._waiting: dict[tuple[str, int], list[OnResult]] = {}
        self._requests: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()

    def look_up(self, host: str, port: int, on_result: OnResult) -> None:
        """Look up a host; `on_result` is called later, never before this returns."""
        request = (host, port)
        if request in self._waiting:
            self._waiting[request].append(on_result)
            return
        self._waiting[request] = [on_result]
        self._requests.put(request)
        if self._threads < min(len(self._waiting), self._max_threads):
            self._threads += 1
            threading.Thread(target=self._run, name=f"lookup-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """End the threads, each after its current look-up."""
        for _ in range(self._threads):
            self._requests.put(None)

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            self._call_soon(partial(self._deliver, request, self._look_up(*request)))

    def _look_up(self, host: str, port: int) -> LookupResult:
        try:
            return self._resolver(host, port)
        except OSError as error:
            return error
        except Exception as error:  # noqa: BLE001  # top of a thread: one unusual name must not end it
            _log.warning("lookup_failed", host=host, error=repr(error))
            return OSError(str(error))

    def _deliver(self, request: tuple[str, int], result: LookupResult) -> None:
        for on_result in self._waiting.pop(request, []):
            on_result(result)
