"""The limits of a subscription hold at its endpoint, over two ingest and two worker processes, with retries and probes.

Oracles: when requests arrive at the receivers, and how many are open there. Real Kafka, Redis, Postgres and processes.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from tests.acceptance.conftest import Starts
from tests.harness.lateness import Lateness
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

WINDOW_S = 10.0
TOLERANCE, NEARLY = 0.05, 0.8
SLOWLY_S = 0.03
PER_SECOND, RECORDS_PER_SECOND, HOST_PER_SECOND, PROBES_PER_SECOND = 20.0, 100.0, 15.0, 5.0
OPEN = 2
RECORDS = 10_000
"""None of the limited ones can have so many before 50 s: on a busy machine it takes a while to register them all."""

SETTINGS = {
    "WEBHOOKD_HOST_RATE_LIMITS": f"localhost={HOST_PER_SECOND:g}",
    "WEBHOOKD_RETRY_TIME_SCALE": "0.001",  # a probe each 0.9 s in each of eight lanes: more than the limit
}


def accepts(_number: int) -> int:
    return 200


def fails_at_times(number: int) -> int:
    return 200 if number % 17 else 500


def refuses(_number: int) -> int:
    """No retry follows: the circuit of each lane opens, and what arrives from then on are probes."""
    return 404


class Clerk:
    """Notes when requests arrive, with their records, and how many are open at once.

    `judge` returns the status by the request's number.
    """

    def __init__(self, judge: Callable[[int], int] = accepts, takes_s: float = 0.0) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self.most_open = 0
        self._takes_s = takes_s
        self._judge = judge
        self._open = 0
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Note the request, and respond after a while."""
        with self._lock:
            self._open += 1
            self.most_open = max(self.most_open, self._open)
            self.arrivals.append((time.monotonic(), len(request.messages)))
            number = len(self.arrivals)
        if self._takes_s:
            time.sleep(self._takes_s)
        with self._lock:
            self._open -= 1
        return status(self._judge(number))

    @property
    def lasted_s(self) -> float:
        """The time since the first request."""
        return time.monotonic() - self.arrivals[0][0] if self.arrivals else 0.0

    @property
    def records(self) -> int:
        """How many records have arrived."""
        return sum(count for _, count in self.arrivals)

    def in_windows(self, *, records: bool = False) -> Iterator[int]:
        """How many requests, or records, arrived in each window that begins with a request and has passed."""
        times = [at for at, _ in self.arrivals]
        for first in times:
            if first + WINDOW_S < times[-1]:
                inside = [count for at, count in self.arrivals if first <= at < first + WINDOW_S]
                yield sum(inside) if records else len(inside)


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


def assert_within(rate: float, late_s: float, counts: Iterator[int]) -> None:
    """No window has more than the rate allows; one of them has nearly as much, also on a busy machine."""
    found, expected = list(counts), rate * WINDOW_S
    assert max(found) <= expected * (1 + TOLERANCE) + rate * late_s
    assert max(found) >= expected * NEARLY


def test_limits_hold_at_the_receivers(start_pipeline: Starts) -> None:
    with start_pipeline(**SETTINGS) as pipeline, ExitStack() as stack, Lateness() as late:
        pipeline.start("ingest-2")
        pipeline.start("worker-2")
        until(lambda: '"ingests":2' in pipeline.log("ingest"), "the ingest processes have found each other")
        topic = pipeline.topic(8)
        pipeline.produce(topic, numbers(RECORDS), 8)
        clerks = {
            "requests": Clerk(fails_at_times),
            "records": Clerk(),
            "host": Clerk(),
            "probes": Clerk(refuses),
            "open": Clerk(fails_at_times, SLOWLY_S),
            "free": Clerk(),
        }
        urls = {name: stack.enter_context(Receiver(clerk.answer)).url for name, clerk in clerks.items()}
        id_ = subscribe(pipeline, urls["requests"], topic, rate_limit={"per_second": PER_SECOND})
        subscribe(
            pipeline, urls["records"], topic, 20, rate_limit={"per_second": RECORDS_PER_SECOND, "unit": "records"}
        )
        subscribe(pipeline, urls["probes"], topic, rate_limit={"per_second": PROBES_PER_SECOND})
        for _ in range(2):
            subscribe(pipeline, urls["host"].replace("127.0.0.1", "localhost"), topic)
        subscribe(pipeline, urls["open"], topic, max_concurrent_requests=OPEN)
        until(lambda: clerks["open"].lasted_s > 0, "the limited ones are read")
        subscribe(pipeline, urls["free"], topic, 100)
        until(lambda: clerks["free"].records >= RECORDS, "the one without limits has everything")
        limited = [clerk for name, clerk in clerks.items() if name != "free"]
        assert max(clerk.records for clerk in limited) < RECORDS
        until(lambda: pipeline.status(id_)["delivery"]["limited_by"] == "rate_limit", "the status says so")
        assert pipeline.status(id_)["status"] == "healthy"
        until(lambda: all(clerk.lasted_s > WINDOW_S + 2 for clerk in limited), "a window has passed")
        assert_within(PER_SECOND, late.most_s, clerks["requests"].in_windows())
        assert_within(RECORDS_PER_SECOND, late.most_s, clerks["records"].in_windows(records=True))
        assert_within(HOST_PER_SECOND, late.most_s, clerks["host"].in_windows())
        assert_within(PROBES_PER_SECOND, late.most_s, clerks["probes"].in_windows())
        assert clerks["open"].most_open == OPEN


def subscribe(pipeline: Pipeline, url: str, topic: str, size: int = 1, **delivery: object) -> str:
    return pipeline.subscribe(url, topic, start="earliest", size=size, retries=10, delivery=delivery)
