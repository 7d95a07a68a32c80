"""The sender of one delivery. The test feeds it outcomes and moves the clock."""

import base64
import gzip
import hmac
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.harness.delivery_senders import LIMITS, OK, End, SenderScene, answer, end_of, no_answer
from tests.harness.delivery_senders import SECRET as HEADER_VALUE
from tests.harness.lanes import WANTED, Record, lane
from tests.harness.subscriptions import SECRET
from webhookd import logs
from webhookd.flow.attempt.attempt_report import LoggedExchange, ReportKind
from webhookd.flow.attempt.exchange_result import FailureCode, Outcome, Response
from webhookd.flow.attempt.signature import SigningKind, new_secret, parse_secret, signer_of
from webhookd.flow.attempt.success_codes import statuses_of
from webhookd.flow.batching.batch import Batch
from webhookd.flow.destination import SigningSecret
from webhookd.flow.subscription import Retry
from workers.delivery.delivery_sender import SUCCESS_BODY_BYTES

OTHER_SECRET = new_secret(SigningKind.HMAC_SHA256, b"b" * 32)


def test_sends_batches_one_after_another() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    bodies = [scene.body_of(sender.advance(outcome)) for outcome in (None, OK, OK)]
    assert bodies == [b"body-0", b"body-1", b"body-2"]
    assert sender.advance(OK) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 3)


def test_request_carries_the_webhook_headers() -> None:
    scene = SenderScene()
    request = scene.sender(batches=1).advance(None) or b""
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[-4:] == [
        b"webhook-id: msg_0",
        b"webhook-timestamp: 1700000000",
        b"webhook-attempt: 1",
        b"Content-Length: 6",
    ]
    assert (head.startswith(scene.template.head), body) == (True, b"body-0")


@pytest.mark.parametrize(("failures", "attempt", "number"), [(0, 0, 1), (0, 2, 3), (4, 0, 5), (4, 2, 7)])
def test_request_says_which_attempt_it_is(failures: int, attempt: int, number: int) -> None:
    scene = SenderScene()
    sender = scene.sender(batches=2, failures=failures, attempt=attempt)
    first, second = sender.advance(None) or b"", sender.advance(OK) or b""
    assert b"\r\nwebhook-attempt: %d\r\n" % number in first
    assert b"\r\nwebhook-attempt: 1\r\n" in second


@pytest.mark.parametrize(("trace", "records", "sent"), [(True, 1, True), (False, 1, False), (True, 2, False)])
def test_request_of_one_record_passes_its_trace_context_on(*, trace: bool, records: int, sent: bool) -> None:
    scene = SenderScene()
    scene.template = replace(scene.template, trace=trace)
    one = lane()
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    one.take([Record(offset, pairs=(("traceparent", parent),)) for offset in range(records)], WANTED, 0.0)
    sender = scene.sender(traced=True)
    sender.batches = [one.form_batch(records, 1 << 20)]
    request = sender.advance(None) or b""
    assert (b"\r\ntraceparent: %b\r\nContent-Length: " % parent in request) is sent


def test_success_codes_of_the_subscription_acknowledge() -> None:
    scene = SenderScene()
    scene.template = replace(scene.template, success=statuses_of(["201", "304"]))
    sender = scene.sender(batches=3)
    sender.advance(None)
    sender.advance(answer(201))
    sender.advance(answer(304))
    assert sender.advance(answer(200)) is None
    report = sender.report()
    assert (report.kind, report.done, report.success and report.success.error) == (ReportKind.RETRY, 2, "")
    assert (report.failure and report.failure.error) == "http_200"


@pytest.mark.parametrize(("records", "kind"), [(1, ReportKind.EXHAUSTED), (2, ReportKind.DIVISIBLE)])
def test_batch_of_several_records_that_is_too_large_is_divisible(records: int, kind: ReportKind) -> None:
    scene = SenderScene()
    sender = scene.sender()
    sender.batches = [Batch("msg_0", records, b"body")]
    sender.advance(None)
    sender.advance(answer(413))
    assert end_of(scene) == End(kind, 0)
    assert sender.report().failure == LoggedExchange(scene.wall, "msg_0", 413, b"HTTP/1.1 413", b"", "http_413")


def test_time_budget_ends_with_what_is_done() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.advance(None)
    scene.now += LIMITS.budget_s
    assert sender.advance(OK) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 1)


def test_time_budget_runs_from_the_first_request() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    scene.now += 2 * LIMITS.budget_s
    assert sender.advance(None) is not None


def test_lease_runs_from_the_claim() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    scene.now += LIMITS.lease_s
    assert sender.advance(None) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 0)


def test_lease_that_ran_out_stops_sending() -> None:
    scene = SenderScene(budget_s=60.0)
    sender = scene.sender(batches=3)
    sender.advance(None)
    scene.now += LIMITS.lease_s
    assert sender.advance(OK) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 1)


def test_renewed_lease_goes_on_sending() -> None:
    scene = SenderScene(budget_s=60.0)
    sender = scene.sender(batches=3)
    sender.advance(None)
    scene.now += LIMITS.lease_s
    sender.lease_end = scene.now + 1.0
    assert sender.advance(OK) is not None


def test_stopped_sender_ends_after_its_request() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.advance(None)
    sender.stopped = True
    assert sender.advance(OK) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 1)


def test_stopped_before_the_first_request_sends_nothing() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.stopped = True
    assert sender.advance(None) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 0)


@pytest.mark.parametrize("outcome", [answer(500), answer(429), no_answer(FailureCode.TIMEOUT)])
def test_failure_is_reported_with_its_retry(outcome: Outcome) -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.advance(None)
    sender.advance(OK)
    assert sender.advance(outcome) is None
    assert end_of(scene) == End(ReportKind.RETRY, 1)
    assert sender.report().wait_s == 5.0


@pytest.mark.parametrize(
    ("status", "kind"), [(302, ReportKind.EXHAUSTED), (404, ReportKind.EXHAUSTED), (410, ReportKind.GONE)]
)
def test_permanent_failure_ends_without_a_retry(status: int, kind: ReportKind) -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.advance(None)
    sender.advance(OK)
    assert sender.advance(answer(status)) is None
    assert end_of(scene) == End(kind, 1)


@pytest.mark.parametrize(("succeeds", "wait_s"), [(False, 40.0), (True, 5.0)])
def test_failures_before_the_delivery_count_for_its_first_batch(*, succeeds: bool, wait_s: float) -> None:
    sender = SenderScene().sender(batches=2, failures=3)
    sender.advance(None)
    if succeeds:
        sender.advance(OK)
    sender.advance(answer(500))
    assert sender.report().wait_s == wait_s


def test_attempt_counts_as_failures_so_far() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=1, attempt=2)
    sender.advance(None)
    sender.advance(answer(500))
    assert sender.report().wait_s == 20.0


def test_last_failure_exhausts() -> None:
    scene = SenderScene(retry=Retry(max_retries=2))
    sender = scene.sender(batches=2, attempt=2)
    sender.advance(None)
    sender.advance(answer(500))
    assert end_of(scene) == End(ReportKind.EXHAUSTED, 0)


def test_last_failure_after_a_success_exhausts_too() -> None:
    scene = SenderScene(retry=Retry(max_retries=0))
    sender = scene.sender(batches=2)
    sender.advance(None)
    sender.advance(OK)
    sender.advance(answer(500))
    assert end_of(scene) == End(ReportKind.EXHAUSTED, 1)


def test_failed_probe_is_not_retried() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=1, probe=True)
    sender.advance(None)
    sender.advance(answer(500))
    assert end_of(scene) == End(ReportKind.EXHAUSTED, 0)


@pytest.mark.parametrize("retries", [0, 5])
def test_aborted_request_is_no_failure(retries: int) -> None:
    scene = SenderScene(retry=Retry(max_retries=retries))
    sender = scene.sender(batches=3)
    sender.advance(None)
    sender.advance(OK)
    assert sender.advance(no_answer(FailureCode.SHUTDOWN)) is None
    assert end_of(scene) == End(ReportKind.FINISHED, 1)
    assert (sender.failure_code, sender.report().failure) == ("", None)


def test_progress_counts_acknowledged_batches() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=3)
    sender.advance(None)
    scene.now += 0.2
    sender.advance(OK)
    report = sender.progress()
    assert (report.kind, report.done) == (ReportKind.PROGRESS, 1)
    assert report.sending_s == pytest.approx(0.2)


def test_report_shows_the_last_success_shortened() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=2)
    sender.advance(None)
    sender.advance(answer(201, b"x" * 5000))
    sender.advance(answer(202, b"y" * 5000))
    success = sender.report().success
    assert success == LoggedExchange(scene.wall, "msg_1", 202, b"HTTP/1.1 202", b"y" * SUCCESS_BODY_BYTES)


def test_report_shows_the_failed_response_whole() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=2)
    sender.advance(None)
    sender.advance(OK)
    sender.advance(answer(500, b"y" * 5000))
    assert sender.report().failure == LoggedExchange(scene.wall, "msg_1", 500, b"HTTP/1.1 500", b"y" * 5000, "http_500")
    assert sender.failure_code == "http_500"


def test_secret_in_a_compressed_response_is_masked() -> None:
    scene = SenderScene()
    sender = scene.sender()
    sender.advance(None)
    head = b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nX: y"
    sender.advance(Response(status=500, head=head, body=gzip.compress(f"got {HEADER_VALUE}".encode()), elapsed_s=0.01))
    failure = sender.report().failure
    assert failure is not None
    assert (failure.head, failure.body) == (b"HTTP/1.1 500 No\r\nX: y", b"got ****")


def test_report_shows_why_there_was_no_response() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=1)
    sender.advance(None)
    sender.advance(no_answer(FailureCode.DNS_FAILED))
    assert sender.report().failure == LoggedExchange(scene.wall, "msg_0", error="dns_failed", detail="as the test says")


def test_report_measures_from_the_first_request() -> None:
    scene = SenderScene()
    sender = scene.sender(batches=1)
    scene.now += 0.1
    sender.advance(None)
    scene.now += 0.3
    sender.advance(OK)
    assert sender.report().sending_s == pytest.approx(0.3)


def test_each_attempt_is_logged_at_debug() -> None:
    logs.configure("json", "info", modules=["workers.delivery=debug"])
    scene = SenderScene()
    sender = scene.sender(batches=2)
    with capture_logs() as lines:
        for outcome in (None, OK, no_answer(FailureCode.TIMEOUT)):
            sender.advance(outcome)
    common = {"event": "attempt", "log_level": "debug", "subscription": "s1", "delivery": "d1", "attempt": 0}
    varying = [{name: line[name] for name in line if name not in {"module", "lanes", *common}} for line in lines]
    assert all(common.items() <= line.items() and line["lanes"] == ["orders/0"] for line in lines)
    assert varying == [
        {"webhook_id": "msg_0", "elapsed_s": 0.01, "status": 200},
        {"webhook_id": "msg_1", "elapsed_s": 0.01, "code": "timeout"},
    ]


def test_attempts_are_logged_from_the_next_delivery_on_when_debug_is_switched() -> None:
    logs.configure("json", "info")
    scene = SenderScene()
    logged = []
    for on in (False, True, False):
        logs.levels.switch_debug(on=on)
        sender = scene.sender()
        with capture_logs() as lines:
            sender.advance(None)
            sender.advance(OK)
        logged.append([line["event"] for line in lines])
    assert logged == [[], ["attempt"], []]


def headers_of(request: bytes | None) -> dict[str, str]:
    """The headers of a request whose names begin with `webhook-`."""
    lines = (request or b"").partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name: value for name, _, value in (line.partition(": ") for line in lines) if name.startswith("webhook-")}


def test_each_attempt_is_signed_with_its_own_time() -> None:
    scene = SenderScene()
    scene.template = replace(scene.template, signer=signer_of((SigningSecret(secret=SECRET),)))
    seen = {}
    for attempt, probe in ((0, False), (1, False), (2, True)):
        scene.wall += 40.0
        request = scene.sender(attempt=attempt, probe=probe).advance(None)
        headers = headers_of(request)
        content = f"msg_0.{int(scene.wall)}.".encode() + scene.body_of(request)
        expected = base64.b64encode(hmac.digest(parse_secret(SECRET), content, "sha256")).decode()
        assert headers == {
            "webhook-id": "msg_0",
            "webhook-timestamp": str(int(scene.wall)),
            "webhook-attempt": str(attempt + 1),
            "webhook-signature": f"v1,{expected}",
        }
        seen[headers["webhook-signature"]] = attempt
    assert len(seen) == 3


def test_replaced_secret_stops_signing_when_its_time_is_up() -> None:
    """Within one delivery: neither a new template nor a restart is needed."""
    scene = SenderScene()
    signing = (SigningSecret(secret=OTHER_SECRET), SigningSecret(secret=SECRET, expires_at=scene.wall + 10))
    scene.template = replace(scene.template, signer=signer_of(signing))
    sender = scene.sender(batches=2)
    before = headers_of(sender.advance(None))["webhook-signature"]
    scene.wall += 10.0
    after = headers_of(sender.advance(OK))["webhook-signature"]
    assert (len(before.split(" ")), len(after.split(" "))) == (2, 1)


def test_unsigned_request_has_no_signature() -> None:
    assert headers_of(SenderScene().sender().advance(None)) == {
        "webhook-id": "msg_0",
        "webhook-timestamp": "1700000000",
        "webhook-attempt": "1",
    }


def test_template_shows_no_secret() -> None:
    assert "secret" not in repr(SenderScene().template)
