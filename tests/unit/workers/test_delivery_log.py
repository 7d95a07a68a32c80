"""The line about the end of a delivery, as a sender over a clock that the test moves has ended."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness.delivery_senders import OK, SECRET, SenderScene, answer, no_answer
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.subscription import Retry, RetryAlgorithm
from workers.delivery.delivery_log import DeliveryLog

COMMON = {
    "subscription": "s1",
    "version": 1,
    "tenant": "default",
    "lanes": ["orders/0"],
    "delivery": "d1",
    "attempt": 0,
    "host": "example.com",
    "sending_s": 0.25,
    "worker": "w1",
}


def line_of(*outcomes: Outcome, log: DeliveryLog | None = None, trace_id: str = "", **scene: Any) -> dict[str, Any]:  # noqa: ANN401
    """The line of a delivery of three batches after these outcomes, each after 0.25 s in all."""
    (line,) = lines_of(*outcomes, log=log, trace_id=trace_id, **scene)
    return line


def lines_of(
    *outcomes: Outcome,
    log: DeliveryLog | None = None,
    trace_id: str = "",
    retry: Retry | None = None,
    id_: str = "d1",
    **sender: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    """As line_of; there may be none."""
    scene = SenderScene(retry)
    sent = scene.sender(id_, batches=3, **sender)
    sent.advance(None)
    scene.now += 0.25
    for outcome in outcomes:
        sent.advance(outcome)
    if not scene.ended:
        sent.stopped = True
        sent.advance(no_answer(FailureCode.SHUTDOWN))
    with capture_logs() as lines:
        (log or DeliveryLog("w1")).ended(sent, trace_id)
    return [{name: line[name] for name in line if name not in {"module", "log_level"}} for line in lines]


def test_delivery_has_all_facts_in_one_line() -> None:
    assert line_of(OK, OK, answer(204)) == COMMON | {
        "event": "delivered",
        "batches": 3,
        "records": 3,
        "bytes": 18,
        "first_webhook_id": "msg_0",
        "webhook_id": "msg_2",
        "status": 204,
    }


def test_part_of_a_delivery_counts_what_was_acknowledged() -> None:
    line = line_of(OK, OK)
    assert (line["event"], line["batches"], line["records"], line["bytes"]) == ("delivered", 2, 2, 12)
    assert line["webhook_id"] == "msg_1"


def test_failed_attempt_has_the_batch_that_failed_and_what_was_acknowledged_before() -> None:
    retry = Retry(algorithm=RetryAlgorithm.FIXED_TIME)
    assert line_of(OK, answer(503, b"secret body"), retry=retry, attempt=1, failures=0) == COMMON | {
        "event": "attempt_failed",
        "attempt": 1,
        "code": "http_503",
        "status": 503,
        "detail": "",
        "retry_in_s": 30.0,
        "refused": None,
        "webhook_id": "msg_1",
        "failed_records": 1,
        "failed_bytes": 6,
        "failures": 2,
        "batches": 1,
        "records": 1,
        "bytes": 6,
    }


def test_failure_without_response_has_its_detail_without_secrets() -> None:
    failure = Failure(code=FailureCode.TLS_FAILED, detail=f"refused {SECRET}", elapsed_s=0.1, sent=False)
    line = line_of(failure, failures=4)
    assert (line["code"], line["status"], line["detail"]) == ("tls_failed", None, "refused ****")
    assert (line["failures"], line["batches"], line["bytes"]) == (5, 0, 0)
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize(
    ("outcome", "refused"), [(answer(410), "gone"), (answer(404), "permanent"), (answer(500), "exhausted")]
)
def test_failed_attempt_without_a_retry_says_why(outcome: Outcome, refused: str) -> None:
    line = line_of(outcome, retry=Retry(max_retries=0))
    assert (line["refused"], line["retry_in_s"]) == (refused, None)


def test_delivery_stopped_before_its_first_response_is_returned() -> None:
    line = line_of()
    assert line == COMMON | {"event": "delivery_returned", "batches": 0, "records": 0, "bytes": 0}


def test_what_does_not_apply_is_left_out() -> None:
    line = line_of(answer(500), probe=True, trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    assert (line["probe"], line["trace_id"]) == (True, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert not {"probe", "trace_id", "paced_s", "sample_ratio"} & line_of(OK).keys()


def test_share_of_the_deliveries_is_logged_and_says_so() -> None:
    log = DeliveryLog("w1", 0.25)
    lines = [line for number in range(400) for line in lines_of(OK, log=log, id_=f"delivery-{number}")]
    assert 60 <= len(lines) <= 140  # 100 are expected; the ids are fixed, and so is the number
    assert {line["sample_ratio"] for line in lines} == {0.25}
    again = [line["delivery"] for number in range(400) for line in lines_of(OK, log=log, id_=f"delivery-{number}")]
    assert again == [line["delivery"] for line in lines]


def test_failures_are_logged_whatever_the_share_is() -> None:
    log = DeliveryLog("w1", 0.0)
    assert lines_of(OK, log=log) == []
    assert [line_of(answer(500), log=log)["event"], line_of(log=log)["event"]] == [
        "attempt_failed",
        "delivery_returned",
    ]
