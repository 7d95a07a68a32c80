"""Asks one endpoint whether it wants the requests of a subscription, and reports the answer.

It is one request (flow/attempt/verification.py), or two if the endpoint has refused the first access token. Nothing is
claimed, and no thread waits: if the worker dies, ingest asks again.
"""

from collections.abc import Callable

from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.response_body import uncompressed
from webhookd.flow.attempt.response_head import retry_after_s
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.attempt.verification import ANSWER_BYTES, Consent, VerificationRequest, consent_in
from webhookd.flow.destination import Verification
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import FIRST_ATTEMPT, RequestTemplate
from workers.delivery.request_token import RequestToken
from workers.delivery.send_limits import Clocks

WEBHOOK_ID = "msg_verify_"
"""The `webhook-id` of a challenge begins with this; deliveries have other ids."""


class VerificationSender:
    """A request sequence, which runs on the exchange loop's thread. `ended` gets the report.

    It is not called when this process has aborted the request: ingest asks again.
    """

    def __init__(
        self,
        ref: DeliveryRef,
        template: RequestTemplate,
        request: VerificationRequest,
        *,
        challenge: str,
        deadline_s: float,
        clocks: Clocks,
        ended: Callable[[Report], None],
    ) -> None:
        self.target = template.target
        self.deadline_s = template.timeout_s or deadline_s
        self._ref = ref
        self._template = template
        self._request = request
        self._challenge = challenge
        self._clocks = clocks
        self._ended = ended
        self._token = RequestToken(template.tokens) if template.tokens else None

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Return the request, None at the end; see RequestSequence."""
        if outcome is None:
            return self._next_request()
        now = self._clocks.monotonic()
        if self._token is not None:
            outcome = self._token.hidden_in(outcome)
            if self._token.replaced(outcome, 0, now):
                return self._next_request()
        self._report(outcome)
        return None

    def _next_request(self) -> bytes | None:
        """The request; None while it waits for an access token, or if there is none."""
        if self._token is None:
            return self._rendered(b"")
        found = self._token.take(self._clocks.monotonic())
        if found is None:
            self._token.wait(self, body_bytes=ANSWER_BYTES)
        elif isinstance(found, Failure):
            self._report(found)
        return self._rendered(found) if isinstance(found, bytes) else None

    def _rendered(self, lines: bytes) -> bytes:
        request, body = self._request, self._request.challenge_body(self._challenge)
        if request.kind is Verification.ECHO:
            lines += self._webhook_lines(body)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (request.head, lines, len(body), body)

    def _webhook_lines(self, body: bytes) -> bytes:
        """The headers of Standard Webhooks, as each delivery has them."""
        webhook_id, at, signer = self._webhook_id.encode(), self._clocks.wall(), self._template.signer
        signature = b"webhook-signature: %b\r\n" % signer.signature(webhook_id, at, body) if signer else b""
        return b"webhook-id: %b\r\nwebhook-timestamp: %d\r\n%b%b" % (webhook_id, at, FIRST_ATTEMPT, signature)

    @property
    def _webhook_id(self) -> str:
        return f"{WEBHOOK_ID}{self._ref.id}"

    def _report(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failure) and outcome.code is FailureCode.SHUTDOWN:
            return
        found = consent_in(self._request, outcome, self._challenge)
        if isinstance(found, Consent):
            interval_s = 60.0 / found.granted_per_minute if found.granted_per_minute else 0.0
            exchange = self._logged(outcome)
            self._ended(Report(ReportKind.VERIFIED, self._ref.id, 0, wait_s=interval_s, success=exchange))
            return
        failure = self._logged(outcome, found.code, found.detail)
        wait_s = self._asked_wait_s(outcome)
        self._ended(Report(ReportKind.UNVERIFIED, self._ref.id, 0, wait_s=wait_s, failure=failure))

    def _logged(self, outcome: Outcome, code: str = "", detail: str = "") -> LoggedExchange:
        mask, at = self._template.mask, self._clocks.wall()
        detail = mask.masked(detail.encode()).decode()
        if not isinstance(outcome, Response):
            return LoggedExchange(at, self._webhook_id, error=code, detail=detail)
        head, body = uncompressed(outcome.head, outcome.body)
        head, body = mask.masked(head), mask.masked(body[:ANSWER_BYTES])
        return LoggedExchange(at, self._webhook_id, outcome.status, head, body, code, detail)

    def _asked_wait_s(self, outcome: Outcome) -> float:
        """The wait that the endpoint, or the token endpoint, has asked for; up to an hour."""
        if isinstance(outcome, Failure):
            return min(outcome.retry_after_s, LONGEST_RETRY_AFTER_S)
        return min(retry_after_s(outcome.head, self._clocks.wall()) or 0.0, LONGEST_RETRY_AFTER_S)
