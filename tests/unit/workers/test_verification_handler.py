"""What a worker does with the task that asks an endpoint. The endpoint is a script; everything runs on one thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from tests.harness.delivery_senders import DESTINATION, SECRET, TARGET, SenderScene, no_answer, ref, template
from webhookd.edges.http_client.exchange import RequestSequence
from webhookd.errors import SecretsUnreadable, StoreUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.exchange_result import FailureCode, Outcome, Response
from webhookd.flow.attempt.verification import ANSWER_BYTES, verification_request
from webhookd.flow.destination import Verification
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.verification_handler import VerificationHandler

ECHO = replace(DESTINATION, verification=Verification.ECHO)
VERIFYING = replace(template(), verification=verification_request(ECHO, TARGET, "hooks.example.com"))


def response(status: int, body: bytes = b"", *headers: str) -> Response:
    head = "\r\n".join((f"HTTP/1.1 {status} x", *headers, "")).encode()
    return Response(status=status, head=head, body=body, elapsed_s=0.1)


def returns_challenge(request: bytes) -> Outcome:
    return response(200, msgspec.json.decode(SenderScene.body_of(request))["challenge"].encode())


@dataclass(slots=True)
class Switch:
    """The offline switch."""

    offline: bool = False


class Reports(ReportSender):
    """Keeps the reports instead of sending them."""

    def __init__(self) -> None:
        self.sent: list[Report] = []

    def send_final(self, ref: DeliveryRef, report: Report, *_: Any, **__: Any) -> None:  # noqa: ANN401
        assert ref.reply_to == "ingest"
        self.sent.append(report)


class Scene:
    """A handler whose endpoint answers as the test says."""

    def __init__(
        self, found: TemplateResult = VERIFYING, answers: Callable[[bytes], Outcome] = returns_challenge
    ) -> None:
        self.found = found
        self.answers = answers
        self.requests: list[bytes] = []
        self.reports = Reports()
        self.switch = Switch()
        clocks = SenderScene().clocks
        self.handler = VerificationHandler(
            switch=self.switch, cache=self, exchanges=self, report_sender=self.reports, clocks=clocks, deadline_s=15.0
        )

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        return [self.found for _ in refs]

    def submit(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        assert body_bytes == ANSWER_BYTES
        request = sequence.advance(None)
        while request is not None:
            self.requests.append(request)
            request = sequence.advance(self.answers(request))

    def verify(self) -> Report | None:
        """Ask; returns the report, None if there is none."""
        self.handler.verify(ref("question"))
        return next(iter(self.reports.sent), None)


def code_of(report: Report | None) -> str:
    assert report is not None
    assert report.failure is not None
    return report.failure.error


def test_consent_is_reported() -> None:
    report = Scene().verify()
    assert report is not None
    assert (report.kind, report.delivery) == (ReportKind.VERIFIED, "question")


def test_each_question_has_another_challenge() -> None:
    scene = Scene()
    for _ in range(2):
        scene.verify()
    assert len({SenderScene.body_of(request) for request in scene.requests}) == 2


def test_refusal_has_the_answer_without_secrets() -> None:
    scene = Scene(answers=lambda _: response(200, SECRET.encode(), "Retry-After: 60"))
    report = scene.verify()
    assert code_of(report) == "consent_missing"
    assert report is not None
    assert report.failure is not None
    assert (report.failure.body, report.wait_s) == (b"****", 60.0)
    assert report.failure.detail.startswith("the answer is neither the challenge")


@pytest.mark.parametrize("error", [StoreUnavailable(), SecretsUnreadable()])
def test_unreadable_configuration_is_reported(error: StoreUnavailable | SecretsUnreadable) -> None:
    scene = Scene(error)
    assert (code_of(scene.verify()), scene.requests) == (error.code, [])


@pytest.mark.parametrize("found", [None, template()], ids=["outdated", "verified meanwhile"])
def test_nothing_is_sent_or_reported_for_another_version(found: TemplateResult) -> None:
    scene = Scene(found)
    assert (scene.verify(), scene.requests) == (None, [])


def test_nothing_is_sent_while_offline() -> None:
    scene = Scene()
    scene.switch.offline = True
    assert (scene.verify(), scene.requests) == (None, [])


def test_request_that_the_worker_has_aborted_is_not_reported() -> None:
    assert Scene(answers=lambda _: no_answer(FailureCode.SHUTDOWN)).verify() is None
