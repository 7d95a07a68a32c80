"""The sender of one delivery: posts its batches one after another, until all are done or something stops it.

it stops when                                    and reports
every batch is acknowledged                      FINISHED
its time budget is used up                       FINISHED; the unsent batches go back to the lane
its lanes have another epoch                     FINISHED; likewise
the process stops, or webhookd goes offline      FINISHED; likewise. An aborted request does not count as a failure
its lease was not renewed and has run out        FINISHED; likewise
an exchange failed, and a retry is left          RETRY
there is no access token for the request         likewise: the exchange with the token endpoint failed
an exchange failed, and no retry is left         EXHAUSTED
the endpoint answered 410 Gone                   GONE

While it waits for an access token it has no exchange; the token source submits it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.flow.attempt.access_token import without_token
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
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
from webhookd.flow.attempt.target import Target
from webhookd.flow.batching.batch import Batch
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.access_tokens import TokenSource

UNAUTHORIZED_STATUS = 401

SUCCESS_BODY_BYTES = 2048
"""How much of the body of a 2xx response is kept. Every report has one, and few people read them."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """What all requests of one version of a subscription have in common: endpoint, head and retry policy.

    With `tokens` each request carries an access token.
    """

    version: int
    target: Target
    head: bytes = field(repr=False)
    retry: Retry
    tokens: TokenSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """How long one delivery may take: `budget_s` in total, `deadline_s` per exchange, `lease_s` between two reports.

    If `log_attempts` is True, each exchange is logged.
    """

    budget_s: float
    deadline_s: float
    lease_s: float
    retry_time_scale: float = 1.0
    log_attempts: bool = False

    @property
    def lost_after_s(self) -> float:
        """A sender that has not ended after this time is lost: even the slowest one has ended and reported by then.

        That one waits for an access token, gets 401, waits for another token, and sends the request again.
        """
        return self.budget_s + 4 * self.deadline_s + 2 * self.lease_s + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks and the source of random numbers in [0, 1)."""

    monotonic: Monotonic
    wall: WallClock
    chance: Callable[[], float]


class DeliverySender:
    """Runs on the exchange loop's thread. The report sender's thread reads `done`, and sets `stopped` and `lease_end`.

    `ended` is called once, on the loop's thread.
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
    ) -> None:
        self.ref = ref
        self.batches = batches
        self.target = template.target
        self.deadline_s = limits.deadline_s
        self.done = 0
        self.stopped = False
        self.verdict: Verdict = DELIVERED
        self._template = template
        self._time_scale = limits.retry_time_scale
        self._log_attempts = limits.log_attempts
        self._clocks = clocks
        self._ended = ended
        self._began_at = clocks.monotonic()
        self._stop_at = self._began_at + limits.budget_s
        self.elapsed_s = 0.0
        self.lease_end = self._began_at + limits.lease_s
        self._acknowledged: Response | None = None
        self._failure: Outcome | None = None
        self._token_line = b""
        self._token_replaced = False
        self._waiting_since: float | None = None

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Return the next request, None at the end; `outcome` is that of the previous one, None before the first."""
        now = self._clocks.monotonic()
        if self._token_line and isinstance(outcome, Response):
            outcome = without_token(outcome, self._token_line)
        if self._log_attempts and outcome is not None:
            self._log_attempt(outcome)
        if outcome is None:
            self._begin(now)
        elif acknowledged(outcome):
            self.done += 1
            self._token_replaced = False
            self._acknowledged = outcome  # type: ignore[assignment]  # acknowledged() says it is a Response
        elif self._replaces_token(outcome, now):
            pass  # the same batch is sent again, with another token
        elif isinstance(outcome, Failure) and outcome.code is FailureCode.SHUTDOWN:
            self.stopped = True  # this process aborted the request; its batch goes back to the lane
        else:
            self._judge_failure(outcome)
            self._end(now)
            return None
        if self.done >= len(self.batches) or self.stopped or now >= self._stop_at or now >= self.lease_end:
            self._end(now)
            return None
        if self._template.tokens is not None and not self._has_token(self._template.tokens, now):
            return None
        batch = self.batches[self.done]
        return b"%b%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\nContent-Length: %d\r\n\r\n%b" % (
            self._template.head,
            self._token_line,
            batch.webhook_id.encode(),
            self._clocks.wall(),
            len(batch.body),
            batch.body,
        )

    def progress(self) -> Report:
        """Return the report of how far the delivery has got."""
        return Report(
            ReportKind.PROGRESS, self.ref.id, self.ref.attempt, self.done, self._clocks.monotonic() - self._began_at
        )

    def report(self) -> Report:
        """Return the final report: how the attempt ended."""
        match self.verdict:
            case Delivered():
                kind, wait_s = ReportKind.FINISHED, 0.0
            case RetryAt(wait_s=wait_s):
                kind = ReportKind.RETRY
            case Refused(why=why, wait_s=wait_s):
                kind = ReportKind.GONE if why is Refusal.GONE else ReportKind.EXHAUSTED
        return Report(
            kind,
            self.ref.id,
            self.ref.attempt,
            self.done,
            self.elapsed_s,
            wait_s,
            self._logged(self._acknowledged, self.done - 1, SUCCESS_BODY_BYTES) if self._acknowledged else None,
            self._logged(self._failure, self.done, None) if self._failure else None,
        )

    @property
    def failures_before(self) -> int:
        """How often the current batch had failed before this delivery was formed."""
        return self.ref.failures if self.done == 0 else 0

    @property
    def failure_code(self) -> str:
        """The code of the failure that stopped it; empty when nothing failed."""
        return failure_code(self._failure) if self._failure is not None else ""

    def _begin(self, now: float) -> None:
        """Begin, or go on after the wait for a token, which does not count for the time budget."""
        if self._waiting_since is None:
            self._began_at, self._stop_at = now, now + (self._stop_at - self._began_at)
        else:
            self._stop_at += now - self._waiting_since
            self._waiting_since = None

    def _has_token(self, tokens: TokenSource, now: float) -> bool:
        """Whether there is a token for the next request; otherwise it waits for one, or ends if there will be none."""
        found = tokens.line(now)
        if isinstance(found, bytes):
            self._token_line = found
            return True
        if found is None:
            self._waiting_since = now
            tokens.wait(self)
            return False
        if found.code is FailureCode.SHUTDOWN:
            self.stopped = True
        else:
            self._judge_failure(found)
        self._end(now)
        return False

    def _replaces_token(self, outcome: Outcome, now: float) -> bool:
        """Whether the endpoint refused the token, and the batch gets another one; that happens once for each batch."""
        tokens, refused = self._template.tokens, isinstance(outcome, Response) and outcome.status == UNAUTHORIZED_STATUS
        if tokens is None or not refused or self._token_replaced:
            return False
        self._token_replaced = tokens.refused(self._token_line, now)
        return self._token_replaced

    def _end(self, now: float) -> None:
        self.elapsed_s = now - self._began_at
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
        self._failure = outcome
        self.verdict = judge(
            outcome,
            self._template.retry,
            failures=self.failures_before + self.ref.attempt,
            probe=self.ref.probe,
            chance=self._clocks.chance(),
            wall_now=self._clocks.wall(),
            time_scale=self._time_scale,
        )

    def _logged(self, outcome: Outcome, index: int, body_bytes: int | None) -> LoggedExchange:
        at, webhook_id = self._clocks.wall(), self.batches[index].webhook_id
        if isinstance(outcome, Response):
            error = "" if acknowledged(outcome) else failure_code(outcome)
            return LoggedExchange(at, webhook_id, outcome.status, outcome.head, outcome.body[:body_bytes], error)
        return LoggedExchange(at, webhook_id, error=failure_code(outcome), detail=outcome.detail)
