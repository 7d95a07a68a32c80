"""A receiver that records what it got: distinct records by topic, partition and offset, repeats, and their order."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from webhookd.testing.arrival_order import Arrival, ArrivalOrder
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest

PATIENCE_S = 60.0
OK = Answer(body=b"ok")


def status(code: int, *headers: str) -> Answer:
    """An answer with this status and these header lines."""
    pairs = (header.partition(": ") for header in headers)
    return Answer(status=code, headers={name: value for name, _, value in pairs})


def slowly(seconds: float) -> "Callable[[Request], Answer]":
    """An answer to each request after so long. It bounds how many records a lane delivers, on any machine."""

    def answer(_request: Request) -> Answer:
        time.sleep(seconds)
        return OK

    return answer


@dataclass(slots=True)
class Request:
    """One received request; it has no `messages` if it is not a delivery."""

    method: str
    path: str
    headers: dict[str, str]
    messages: list[dict[str, Any]]
    body: bytes


class Lane:
    """What arrived of one partition: distinct offsets in the order of arrival."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    @property
    def seen(self) -> set[int]:
        """The offsets as a set."""
        return set(self.offsets)


class Receiver:
    """An HTTP/1.1 server on 127.0.0.1. `answer` returns each response, and may block.

    An error of `answer`, or a body that is not JSON, is raised on exit.
    """

    def __init__(self, answer: Callable[[Request], Answer] = lambda _request: OK) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.lanes: defaultdict[tuple[str, int], Lane] = defaultdict(Lane)
        self._order: ArrivalOrder[tuple[str, int]] = ArrivalOrder()
        self._changed = threading.Condition()
        self._endpoint = HttpEndpoint(self._handle, blocking=True)
        self.port = self._endpoint.port
        self.url = f"{self._endpoint.url}/hook"

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._endpoint.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._endpoint.__exit__(kind, error, trace)

    @property
    def records(self) -> int:
        """How many distinct records were acknowledged."""
        return self._order.records

    @property
    def repeats(self) -> int:
        """How many records were acknowledged again."""
        return self._order.duplicates

    @property
    def out_of_order(self) -> int:
        """How many records arrived for the first time after a later one of their lane."""
        return self._order.out_of_order

    def wait(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until the condition is true. Raises AssertionError with the counts when it is not in time."""
        with self._changed:
            if not self._changed.wait_for(condition, patience_s):
                raise AssertionError(f"{self.records} records in {len(self.requests)} requests after {patience_s} s")

    def wait_for_records(self, count: int, patience_s: float = PATIENCE_S) -> None:
        """Wait until this many distinct records were acknowledged."""
        self.wait(lambda: self.records >= count, patience_s)

    def _handle(self, received: ReceivedRequest) -> Answer:
        messages = json.loads(received.body).get("messages", []) if received.body else []
        request = Request(received.method, received.path, received.headers, messages, received.body)
        answer = self.answer(request)
        with self._changed:
            self.requests.append(request)
            for message in messages if answer.acknowledges else ():
                self._note((message["topic"], message["partition"]), message["offset"])
            self._changed.notify_all()
        return answer

    def _note(self, lane: tuple[str, int], offset: int) -> None:
        if self._order.add(lane, offset) is not Arrival.DUPLICATE:
            self.lanes[lane].offsets.append(offset)
