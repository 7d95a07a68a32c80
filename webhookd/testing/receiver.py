"""The demo's endpoint: it counts what it receives.

It responds 204 to a request after it has counted it, 404 to an unknown path and 400 to a body that is not webhookd's.
While a path fails, it responds 500 and counts nothing but the request.
"""

import threading
from collections.abc import Sequence

import msgspec

from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.offset_tally import Body, Tally

_decode = msgspec.json.Decoder(Body).decode
_answers = {status: Answer(status=status) for status in (204, 400, 404, 500)}


class CheckingReceiver:
    """Listens on loopback from its creation on. `tallies` are by path; each request notifies `changed`."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.tallies = {path: Tally() for path in paths}
        self.changed = threading.Condition()
        self.first_requests: dict[str, bytes] = {}
        """The first request that was counted, with its head, by path."""
        self.failed_requests = dict.fromkeys(paths, 0)
        self.failing: set[str] = set()
        """The paths that fail; any thread may change it."""
        self._endpoint = HttpEndpoint(self._answer)
        self.url = self._endpoint.url
        self._endpoint.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._endpoint.stop()

    def _answer(self, request: ReceivedRequest) -> Answer:
        return _answers[self._count(request)]

    def _count(self, request: ReceivedRequest) -> int:
        """Count one request; returns the HTTP status."""
        path = request.path
        tally = self.tallies.get(path)
        if tally is None:
            return 404
        try:
            messages = _decode(request.body).messages
        except msgspec.DecodeError:
            return 400
        with self.changed:
            if path in self.failing:
                self.failed_requests[path] += 1
                return 500
            self.first_requests.setdefault(path, request.head + request.body)
            tally.add(messages, request.received_ns / 1e9)
            self.changed.notify_all()
        return 204
