"""What is counted of a delivery's requests. The test feeds senders outcomes, and reads as Prometheus does."""

from dataclasses import replace

import pytest

from tests.harness.delivery_senders import OK, SenderScene, answer, no_answer
from tests.harness.metrics import LiveMetrics, Scrape
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.batching.batch import Batch
from workers.delivery.access_tokens import TokenSource
from workers.delivery.attempt_tally import AttemptTally

ATTEMPTS = "webhookd_attempts_total"
DURATIONS = "webhookd_attempt_duration_seconds"
RECORDS = "webhookd_batch_records"
BYTES = "webhookd_acknowledged_bytes_total"


class Scene(SenderScene):
    """Senders whose attempts are counted."""

    def __init__(self, live: LiveMetrics) -> None:
        super().__init__()
        self._live = live
        self.tally = AttemptTally()
        live.add_source(self.tally.samples)

    def run(self, *outcomes: Outcome, batches: int = 1) -> None:
        """A delivery whose requests have these outcomes."""
        sender = self.sender(batches=batches)
        sender.advance(None)
        for outcome in outcomes:
            sender.advance(outcome)

    def read(self) -> Scrape:
        return self._live.read()


@pytest.fixture
def scene(live_metrics: LiveMetrics) -> Scene:
    return Scene(live_metrics)


def took(elapsed_s: float) -> Response:
    return Response(status=200, head=b"HTTP/1.1 200", body=b"", elapsed_s=elapsed_s)


def test_acknowledged_requests_are_counted_at_the_end_of_their_delivery(scene: Scene) -> None:
    sender = scene.sender(batches=3)
    for outcome in (None, took(0.004), took(0.2)):
        sender.advance(outcome)
    assert scene.read().value(ATTEMPTS, result="acknowledged") is None
    sender.advance(took(0.003))
    seen = scene.read()
    assert seen.value(ATTEMPTS, result="acknowledged") == 3
    assert seen.value(f"{DURATIONS}_count") == 3
    assert seen.value(f"{DURATIONS}_sum") == pytest.approx(0.207)
    assert (seen.value(f"{DURATIONS}_bucket", le="0.005"), seen.value(f"{DURATIONS}_bucket", le="0.25")) == (2, 3)
    assert seen.value(BYTES) == len(b"body-0body-1body-2")
    assert (seen.value(f"{RECORDS}_bucket", le="1.0"), seen.value(f"{RECORDS}_sum")) == (3, 3)


def test_batches_are_counted_by_their_records(scene: Scene) -> None:
    sender = scene.sender(batches=3)
    sender.batches = [Batch(f"msg_{records}", records, b"x" * records) for records in (100, 7, 1)]
    for outcome in (None, OK, OK, answer(500)):
        sender.advance(outcome)
    seen = scene.read()
    assert (seen.value(f"{RECORDS}_count"), seen.value(f"{RECORDS}_sum"), seen.value(BYTES)) == (2, 107, 107)
    assert (seen.value(f"{RECORDS}_bucket", le="5.0"), seen.value(f"{RECORDS}_bucket", le="10.0")) == (0, 1)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (answer(500), "http_5xx"),
        (answer(503), "http_503"),
        (answer(418), "http_4xx"),
        (answer(429), "http_429"),
        (answer(410), "http_410"),
        (answer(302), "http_3xx"),
        (answer(999), "http_other"),
        (no_answer(FailureCode.TIMEOUT), "timeout"),
        (no_answer(FailureCode.CONNECT_REFUSED), "connect_refused"),
        (no_answer(FailureCode.ADDRESS_REFUSED), "address_refused"),
    ],
)
def test_failed_attempt_is_counted_by_its_code(scene: Scene, outcome: Outcome, result: str) -> None:
    scene.run(OK, outcome, batches=2)
    seen = scene.read()
    assert seen.value(ATTEMPTS, result=result) == 1
    assert seen.total(ATTEMPTS) == seen.value(f"{DURATIONS}_count") == 2
    assert seen.value(f"{RECORDS}_count") == 1


def test_request_that_this_process_aborted_is_not_counted(scene: Scene) -> None:
    scene.run(OK, no_answer(FailureCode.SHUTDOWN), batches=2)
    seen = scene.read()
    assert {one.labels["result"]: one.value for one in seen.series(ATTEMPTS)} == {"acknowledged": 1}
    assert seen.value(f"{DURATIONS}_count") == 1


class Tokens(TokenSource):
    """A source that has this token, or this failure; after a 401 it has another token."""

    def __init__(self, found: bytes | Failure) -> None:
        self._found = found

    def line(self, now: float) -> bytes | Failure:  # noqa: ARG002  # as the source declares it
        return self._found

    def refused(self, line: bytes, now: float) -> bool:  # noqa: ARG002  # as the source declares it
        return True


def test_request_that_is_sent_again_with_another_token_counts_twice(scene: Scene) -> None:
    scene.template = replace(scene.template, tokens=Tokens(b"Authorization: Bearer token-number-1\r\n"))
    scene.run(answer(401), OK)
    seen = scene.read()
    assert (seen.value(ATTEMPTS, result="http_401"), seen.value(ATTEMPTS, result="acknowledged")) == (1, 1)


def test_attempt_without_a_token_has_no_duration(scene: Scene) -> None:
    scene.template = replace(scene.template, tokens=Tokens(no_answer(FailureCode.TOKEN_REFUSED)))
    scene.run()
    seen = scene.read()
    assert (seen.value(ATTEMPTS, result="token_refused"), seen.value(f"{DURATIONS}_count")) == (1, 0)
