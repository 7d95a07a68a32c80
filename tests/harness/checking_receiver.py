"""A receiver that can misbehave, and records when each record arrived, whether again, and in which order.

It responds 200 unless its behaviour was changed, or its `judge` returns another status for the request. A record counts
as arrived when its whole request was read and a whole 200 is about to be sent: records of a request with another
response must be sent again.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, NamedTuple, Self

from stack.free_ports import free_ports
from webhookd.testing import arrival_order
from webhookd.testing.arrival_order import ArrivalOrder
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.http_exchange import Misbehaviour

OK = Answer(body=b"ok")

SLOW_S = 0.5

Judge = Callable[[int, Sequence[int]], int]
"""The status for a request: by the length of its body in bytes, and the load's numbers of its records."""


def accept(_length: int, _numbers: Sequence[int]) -> int:
    """Status 200 for everything."""
    return 200


class Behaviour(Enum):
    """What the receiver does with a request."""

    ANSWER = "answers"
    ERROR = "answers 500"
    LIMIT = "answers 429 with Retry-After"
    GONE = "answers 410"
    HANG = "hangs"
    BREAK = "closes in its status line"
    DRIP = "drips its status line"
    REFUSE = "refuses connections"
    SLOW = "answers slowly"


ANSWERS = {
    Behaviour.ERROR: Answer(status=500),
    Behaviour.LIMIT: Answer(status=429, headers={"Retry-After": "1"}),
    Behaviour.GONE: Answer(status=410),
    Behaviour.HANG: Answer(misbehaviour=Misbehaviour.HANG),
    Behaviour.BREAK: Answer(misbehaviour=Misbehaviour.BREAK),
    Behaviour.DRIP: Answer(misbehaviour=Misbehaviour.DRIP),
    Behaviour.REFUSE: Answer(misbehaviour=Misbehaviour.HANG),
}
"""What a behaviour answers to every request. A request that has arrived before its connection is refused gets none."""


class LaneKey(NamedTuple):
    """A partition of one incarnation of a topic: a topic that is deleted and recreated starts a new incarnation."""

    topic: str
    incarnation: int
    partition: int


class Arrival(NamedTuple):
    """The arrival of one record; `number` is the load's own, `at` is monotonic."""

    at: float
    offset: int
    number: int


@dataclass(slots=True)
class Arrivals:
    """The arrivals of one lane, in order: first arrivals, and repeats; `seen` has the numbers of the records."""

    first: list[Arrival] = field(default_factory=list)
    again: list[Arrival] = field(default_factory=list)
    backwards: int = 0
    seen: set[int] = field(default_factory=set)


class ArrivalLog:
    """The arrivals of all lanes."""

    def __init__(self) -> None:
        self.lanes: defaultdict[LaneKey, Arrivals] = defaultdict(Arrivals)
        self._order: ArrivalOrder[LaneKey] = ArrivalOrder()

    def note(self, key: LaneKey, arrival: Arrival) -> None:
        """Add an arrival."""
        lane, kind = self.lanes[key], self._order.add(key, arrival.offset)
        if kind is arrival_order.Arrival.DUPLICATE:
            lane.again.append(arrival)
            return
        lane.backwards += kind is arrival_order.Arrival.OUT_OF_ORDER
        lane.seen.add(arrival.number)
        lane.first.append(arrival)


class Refusal(NamedTuple):
    """A request that the judge refused, at `at` (monotonic), and how many records it had."""

    at: float
    status: int
    records: int


class CheckingReceiver:
    """A context: an HTTP/1.1 server on 127.0.0.1. A request that is not a delivery is an error on exit.

    Requests of several connections are judged at the same time, so the judge may block.
    """

    def __init__(self, judge: Judge = accept) -> None:
        self.refusals: list[Refusal] = []
        self._judge = judge
        self._lock = threading.Lock()
        self._arrived = ArrivalLog()
        self._behaviour = Behaviour.ANSWER
        self._port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self._port}/hook"
        self._endpoint: HttpEndpoint

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._endpoint = HttpEndpoint(self._answer, port=self._port, blocking=True)
        self._endpoint.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._endpoint.__exit__(kind, error, trace)

    def behave(self, behaviour: Behaviour) -> None:
        """Change the behaviour; a request that hangs continues to hang until its client closes."""
        self._behaviour = behaviour
        if behaviour is Behaviour.REFUSE:
            self._endpoint.refuse_connections()
        else:
            self._endpoint.accept_connections()

    def remember(self, messages: list[dict[str, Any]], at: float) -> None:
        """Record these messages, which are about to be acknowledged."""
        with self._lock:
            for message in messages:
                value = message["value"]
                key = LaneKey(message["topic"], value["incarnation"], message["partition"])
                self._arrived.note(key, Arrival(at, message["offset"], value["n"]))

    def lanes(self) -> dict[LaneKey, Arrivals]:
        """A copy of what has arrived so far."""
        with self._lock:
            return {
                key: Arrivals([*lane.first], [*lane.again], lane.backwards, set(lane.seen))
                for key, lane in self._arrived.lanes.items()
            }

    def missing_count(self, wanted: set[int]) -> int:
        """How many of these records have not arrived."""
        with self._lock:
            return len(wanted.difference(*(lane.seen for lane in self._arrived.lanes.values())))

    @property
    def count(self) -> int:
        """How many records have arrived, repeats included."""
        with self._lock:
            return sum(len(lane.first) + len(lane.again) for lane in self._arrived.lanes.values())

    def _answer(self, request: ReceivedRequest) -> Answer:
        return ANSWERS.get(self._behaviour) or self._judged(request.body)

    def _judged(self, body: bytes) -> Answer:
        """The answer of the judge; what it accepts is recorded."""
        if self._behaviour is Behaviour.SLOW:
            time.sleep(SLOW_S)
        messages, now = json.loads(body)["messages"], time.monotonic()
        status = self._judge(len(body), [message["value"]["n"] for message in messages])
        if status == 200:
            self.remember(messages, now)
            return OK
        with self._lock:
            self.refusals.append(Refusal(now, status, len(messages)))
        return Answer(status=status)
