"""Works on the task that asks an endpoint whether it wants the requests of a subscription; it waits for no answer.

what is found                                 then
webhookd is offline, or the configuration     nothing: ingest asks again, under the configuration of that time
is an older or a newer one
the configuration cannot be read, its         UNVERIFIED is reported, with the code
secrets not be decrypted, or it not be used
the configuration                             the exchange loop sends the request, and the answer is reported
"""

import secrets
from typing import Protocol

from webhookd import logs
from webhookd.edges.http_client.exchange import RequestSequence
from webhookd.errors import StoreUnavailable, UnusableSubscription
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.attempt.verification import ANSWER_BYTES
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import RequestTemplate, TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.send_limits import Clocks
from workers.delivery.task_handler import RequestTemplates, Switch
from workers.delivery.verification_sender import VerificationSender

CHALLENGE_BYTES = 32
"""Nobody guesses so many random bytes: an endpoint has to read the request."""

_log = logs.get(__name__)


class Exchanges(Protocol):
    """The exchange loop."""

    def submit(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        """Run a request sequence, and keep at least so much of each response's body; returns at once."""


class VerificationHandler:
    """Shared by all task threads of a worker process. `deadline_s` is for subscriptions without a timeout."""

    def __init__(
        self,
        *,
        switch: Switch,
        cache: RequestTemplates,
        exchanges: Exchanges,
        report_sender: ReportSender,
        clocks: Clocks,
        deadline_s: float,
    ) -> None:
        self._switch = switch
        self._cache = cache
        self._exchanges = exchanges
        self._report_sender = report_sender
        self._clocks = clocks
        self._deadline_s = deadline_s

    def verify(self, ref: DeliveryRef) -> None:
        """Begin to ask the endpoint; returns at once, but for a read of the database."""
        found: TemplateResult = None if self._switch.offline else self._cache.templates([ref])[0]
        if isinstance(found, RequestTemplate) and found.verification is not None:
            sender = VerificationSender(
                ref,
                found,
                found.verification,
                challenge=secrets.token_urlsafe(CHALLENGE_BYTES),
                deadline_s=self._deadline_s,
                clocks=self._clocks,
                ended=lambda report: self._send(ref, report),
            )
            self._exchanges.submit(sender, body_bytes=ANSWER_BYTES)
        elif isinstance(found, StoreUnavailable | UnusableSubscription):
            failure = LoggedExchange(self._clocks.wall(), ref.id, error=found.code, detail=found.detail)
            self._send(ref, Report(ReportKind.UNVERIFIED, ref.id, 0, failure=failure))
        else:
            _log.info("verification_stale", subscription=ref.subscription, version=ref.version)

    def _send(self, ref: DeliveryRef, report: Report) -> None:
        code = report.failure.error if report.failure else ""
        _log.info("endpoint_asked", subscription=ref.subscription, consent=not code, code=code)
        self._report_sender.send_final(ref, report, lambda _reached: None)
