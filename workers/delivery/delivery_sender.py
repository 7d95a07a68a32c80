"""The sender of one delivery: posts its batches one after another, until all are done or something stops it.

it stops when                                    and reports
every batch is acknowledged                      FINISHED
its time budget is used up                       FINISHED; the unsent batches go back to the lane
its requests would have to wait too long         FINISHED; likewise
its lanes have another epoch                     FINISHED; likewise
the process stops, or webhookd goes offline      FINISHED; likewise. An aborted request does not count as a failure
its lease was not renewed and has run out        FINISHED; likewise
an exchange failed, and a retry is left          RETRY
there is no access token for the request         likewise: the exchange with the token endpoint failed
an exchange failed, and no retry is left         EXHAUSTED
the endpoint answered 410 Gone                   GONE
the endpoint refused a batch of several          DIVISIBLE
records, and may accept a part of it

While it waits for an access token, or until a request may begin, it has no exchange; it is submitted again.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from webhookd import logs
from webhookd.errors import StoreUnavailable, UnusableSubscription
from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.attempt.endpoint_certificate import ReportedCertificate
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.judge import (
    DELIVERED,
    Delivered,
    Refusal,
    Refused,
    RetryAt,
    Verdict,
    acknowledged,
    failure_code,
    judge,
)
from webhookd.flow.attempt.response_body import uncompressed
from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.attempt.signature import Signer
from webhookd.flow.attempt.success_codes import DEFAULT_STATUSES
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.tls_options import OPERATORS
from webhookd.flow.attempt.verification import VerificationRequest
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.trace_headers import trace_headers
from webhookd.flow.destination import Tls
from webhookd.flow.dispatch.request_quota import Quota, SendSchedule, UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.access_tokens import TokenSource
from workers.delivery.request_observers import NO_OBSERVERS, RequestObservers
from workers.delivery.request_token import RequestToken
from workers.delivery.send_limits import Clocks, SendLimits

SUCCESS_BODY_BYTES = 2048
"""How much of the body of a 2xx response is kept. Every report has one, and few people read them."""

LONGEST_PACED_S = 1.5
"""How long the requests of a delivery may wait for their tokens, all waits together; the first one may wait longer.

Ingest forms deliveries that wait for 0.25 s. It does not know that the bucket is empty when it has just started, or if
another subscription of the host has emptied it: then a long delivery would hold its thread, and outlive its permit.
"""

ATTEMPT = b"webhook-attempt: %d\r\n"
FIRST_ATTEMPT = ATTEMPT % 1

_REFUSED = {
    Refusal.EXHAUSTED: ReportKind.EXHAUSTED,
    Refusal.PERMANENT: ReportKind.EXHAUSTED,
    Refusal.GONE: ReportKind.GONE,
    Refusal.DIVISIBLE: ReportKind.DIVISIBLE,
}

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """What all requests of one version of a subscription have in common: endpoint, head, signer, policies and quotas.

    `mask` is for what the endpoint responds. Without a `signer` the requests are not signed. `success` has the statuses
    that acknowledge a batch. `trace` is False if the head has a `traceparent` already. Without `timeout_s` the deadline
    of SendLimits counts. With `tokens` each request carries an access token. `certificate` knows what was reported
    of the endpoint's certificate; it changes, on the exchange loop's thread alone. None for an http URL. `verification`
    asks the endpoint whether it wants the requests; None where it is not to be asked.
    """

    version: int
    target: Target
    head: bytes = field(repr=False)
    retry: Retry
    mask: SecretMask
    signer: Signer | None = None
    success: frozenset[int] = DEFAULT_STATUSES
    trace: bool = True
    timeout_s: float | None = None
    quotas: tuple[Quota, ...] = ()
    tls: Tls = OPERATORS
    tokens: TokenSource | None = None
    certificate: ReportedCertificate | None = None
    verification: VerificationRequest | None = None
    tenant: str = DEFAULT_TENANT


TemplateResult = RequestTemplate | StoreUnavailable | UnusableSubscription | None
"""What the search for a delivery's template returns: the template; None if the delivery is stale; the error if the row
cannot be read, decrypted or used."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """When the requests of a delivery may begin. `later` submits the sender again after a wait in seconds."""

    schedule: SendSchedule
    later: Callable[["DeliverySender", float], None]


class DeliverySender:
    """Runs on the exchange loop's thread.

    The report sender's thread reads `done`, and sets `stopped`, `lost` and `lease_end`.

    `ended` is called once, on the loop's thread. With a `pacing` a request may have to wait: then the sequence of
    requests ends, and the sender is submitted again after the wait.
    """

    def __init__(
        self,
        ref: DeliveryRef,
        batches: Sequence[Batch],
        template: RequestTemplate,
        *,
        limits: SendLimits,
        clocks: Clocks,
        ended: Callable[["DeliverySender"], None],
        pacing: Pacing | None = None,
        observers: RequestObservers = NO_OBSERVERS,
    ) -> None:
        self.ref = ref
        self.batches = batches
        self.target = template.target
        self.tenant = template.tenant
        self.deadline_s = template.timeout_s or limits.deadline_s
        self.done = 0
        self.stopped = self.lost = False
        self.verdict: Verdict = DELIVERED
        self._template = template
        self._success = template.success
        self._attempt_line = ATTEMPT % (ref.failures + ref.attempt + 1)
        self._traced = ref.traced and template.trace
        # What most subscriptions do not use is asked for once in a delivery, not for each request.
        self._spans = spans = observers.spans
        self._log_attempts = _log.is_enabled_for(logging.DEBUG)
        self._observes = self._log_attempts or template.tokens is not None or spans is not None
        self._waits = pacing is not None or template.tokens is not None
        self._has_more_lines = self._observes or self._traced or template.signer is not None
        self._time_scale = limits.retry_time_scale
        self._clocks, self._ended = clocks, ended
        self._pacing = pacing
        self._token = RequestToken(template.tokens) if template.tokens else None
        self._token_wanted_at: float | None = None
        self._permit_wanted_at: float | None = None
        self.paced_s = 0.0
        self._began_at = clocks.monotonic()
        self._stop_at = self._began_at + limits.budget_s
        self.elapsed_s = 0.0
        self.lease_end = self._began_at + limits.lease_s
        self._tally = observers.tally
        self._durations_s: list[float] | None = None if observers.tally is None else []
        self._acknowledged: Response | None = None
        self._failure: Outcome | None = None

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Return the next request, None at the end; `outcome` is that of the previous one, None before the first."""
        now = self._clocks.monotonic()
        if self._observes and outcome is not None:
            outcome = self._observed(outcome)
        if outcome is None:
            self._begin(now)
        elif isinstance(outcome, Response) and outcome.status in self._success:  # as `acknowledged`, without its call
            self.done += 1
            self._acknowledged = outcome
            if self._durations_s is not None:
                self._durations_s.append(outcome.elapsed_s)
        elif self._token is None or not self._token.replaced(outcome, self.done, now):
            self._judge_failure(outcome)
            self._end(now)
            return None
        elif self._tally is not None:  # the request is sent again, with another access token
            self._tally.failed(outcome)
        if self.done >= len(self.batches) or self.stopped or now >= self._stop_at or now >= self.lease_end:
            self._end(now)
            return None
        batch = self.batches[self.done]
        return None if self._waits and not self._may_send(batch, now) else self._request(batch)

    def used_permit(self) -> UsedPermit | None:
        """The permit to give back when the delivery has ended; None without one."""
        return self._pacing.schedule.used() if self._pacing else None

    def _begin(self, now: float) -> None:
        """Begin, or go on after a wait, which costs no budget. A wait for a token counts as time of the endpoint."""
        if self._token_wanted_at is not None:
            self._stop_at += now - self._token_wanted_at
        elif self._permit_wanted_at is not None:
            waited_s = now - self._permit_wanted_at
            self._began_at, self._stop_at = self._began_at + waited_s, self._stop_at + waited_s
        else:
            self._began_at, self._stop_at = now, now + (self._stop_at - self._began_at)
        self._token_wanted_at = self._permit_wanted_at = None

    def _observed(self, outcome: Outcome) -> Outcome:
        """Return the outcome as logs and reports may have it: an endpoint may repeat its access token."""
        outcome = self._token.hidden_in(outcome) if self._token is not None else outcome
        if self._log_attempts:
            self._log_attempt(outcome)
        if self._spans is not None:
            self._spans.end(outcome, acknowledged=acknowledged(outcome, self._success))
        return outcome

    def _may_send(self, batch: Batch, now: float) -> bool:
        """Whether the next request has what it needs: an access token, and room in the permit."""
        if self._token is not None and not self._has_token(self._token, now):
            return False
        return self._pacing is None or self._may_begin(self._pacing, batch.records, now)

    def _has_token(self, token: RequestToken, now: float) -> bool:
        """Whether there is a token for the next request; otherwise it waits for one, or ends if there will be none."""
        found = token.take(now)
        if found is None:
            self._token_wanted_at = now
            token.wait(self)
        elif isinstance(found, Failure):
            self._judge_failure(found)
            self._end(now)
        return isinstance(found, bytes)

    def _may_begin(self, pacing: Pacing, records: int, now: float) -> bool:
        """Count the next request if it may begin now; otherwise come back when it may, or end."""
        wait_s = pacing.schedule.starts_at(records) - now
        if wait_s <= 0:
            pacing.schedule.begun(records)
            return True
        self.paced_s += wait_s
        if self.done and self.paced_s > LONGEST_PACED_S:
            self._end(now)
            return False
        self._permit_wanted_at = now
        pacing.later(self, wait_s)
        return False

    def progress(self) -> Report:
        """Return the report of how far the delivery has got."""
        return Report(
            ReportKind.PROGRESS, self.ref.id, self.ref.attempt, self.done, self._clocks.monotonic() - self._began_at
        )

    def report(self) -> Report:
        """Return the final report: how the attempt ended. Call it once: it has what is new about the certificate."""
        match self.verdict:
            case Delivered():
                kind, wait_s = ReportKind.FINISHED, 0.0
            case RetryAt(wait_s=wait_s):
                kind = ReportKind.RETRY
            case Refused(why=why, wait_s=wait_s):
                kind = _REFUSED[why]
        return Report(
            kind,
            self.ref.id,
            self.ref.attempt,
            self.done,
            self.elapsed_s,
            wait_s,
            self._logged(self._acknowledged, self.done - 1, SUCCESS_BODY_BYTES) if self._acknowledged else None,
            self._logged(self._failure, self.done, None) if self._failure else None,
            self._template.certificate.news(self.target) if self._template.certificate is not None else None,
        )

    @property
    def failures_before(self) -> int:
        """How often the current batch had failed before this delivery was formed."""
        return self.ref.failures if self.done == 0 else 0

    @property
    def failure_code(self) -> str:
        """The code of the failure that stopped it; empty when nothing failed."""
        return failure_code(self._failure) if self._failure is not None else ""

    @property
    def last_outcome(self) -> Outcome | None:
        """The failure that stopped it, else the last acknowledgement; None before the first one."""
        return self._failure or self._acknowledged

    @property
    def failure_detail(self) -> str:
        """What webhookd says about a failure without a response, without secrets; else empty."""
        return self._masked_detail(self._failure) if isinstance(self._failure, Failure) else ""

    def _request(self, batch: Batch) -> bytes:
        """The request of this attempt, with the time of this attempt in its timestamp and in its signature."""
        webhook_id, at = batch.webhook_id.encode(), self._clocks.wall()
        lines = FIRST_ATTEMPT if self.done else self._attempt_line
        if self._has_more_lines:
            lines += self._more_lines(webhook_id, at, batch)
        return b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._template.head,
            webhook_id,
            at,
            lines,
            len(batch.body),
            batch.body,
        )

    def _more_lines(self, webhook_id: bytes, at: float, batch: Batch) -> bytes:
        """The header lines of features that not every subscription uses."""
        lines, signer = b"", self._template.signer
        if signer is not None:
            lines += b"webhook-signature: %b\r\n" % signer.signature(webhook_id, at, batch.body)
        if self._token is not None:
            lines += self._token.line
        if self._spans is not None:
            lines += self._spans.begin(batch, at=at, attempt=self._attempt_of(self.done))
        elif self._traced and batch.records == 1:
            lines += trace_headers(batch.body)
        return lines

    def _end(self, now: float) -> None:
        self.elapsed_s = now - self._began_at
        if self._tally is not None and self._durations_s:
            self._tally.acknowledged(self.batches[: self.done], self._durations_s)
        self._ended(self)

    def _log_attempt(self, outcome: Outcome) -> None:
        ref = self.ref
        _log.debug(
            "attempt",
            subscription=ref.subscription,
            lanes=list(ref.lanes),
            delivery=ref.id,
            attempt=ref.attempt,
            webhook_id=self.batches[self.done].webhook_id,
            elapsed_s=round(outcome.elapsed_s, 6),
            **({"status": outcome.status} if isinstance(outcome, Response) else {"code": str(outcome.code)}),
        )

    def _judge_failure(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failure) and outcome.code is FailureCode.SHUTDOWN:
            self.stopped = True  # this process aborted the request; its batch goes back to the lane
            return
        if self._tally is not None:
            self._tally.failed(outcome)
        self._failure = outcome
        self.verdict = judge(
            outcome,
            self._template.retry,
            failures=self.failures_before + self.ref.attempt,
            probe=self.ref.probe,
            chance=self._clocks.chance(),
            wall_now=self._clocks.wall(),
            time_scale=self._time_scale,
            records=self.batches[self.done].records,
        )

    def _logged(self, outcome: Outcome, index: int, body_bytes: int | None) -> LoggedExchange:
        at, webhook_id, attempt = self._clocks.wall(), self.batches[index].webhook_id, self._attempt_of(index)
        if isinstance(outcome, Response):
            error = "" if acknowledged(outcome, self._template.success) else failure_code(outcome)
            head, body = uncompressed(outcome.head, outcome.body)
            head, body = self._template.mask.masked(head), self._template.mask.masked(body[:body_bytes])
            return LoggedExchange(at, webhook_id, outcome.status, head, body, error, attempt=attempt)
        detail = self._masked_detail(outcome)
        return LoggedExchange(at, webhook_id, error=failure_code(outcome), detail=detail, attempt=attempt)

    def _masked_detail(self, failure: Failure) -> str:
        return self._template.mask.masked(failure.detail.encode()).decode()

    def _attempt_of(self, index: int) -> int:
        """Which attempt a batch has here, from 1; only the first batch of a delivery may have failed before."""
        return 1 if index else self.ref.failures + self.ref.attempt + 1
