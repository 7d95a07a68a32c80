"""One delivery on the exchange loop: its batches posted one after another until all are done or something stops it.

stops when                                    reported as
every batch is acknowledged                   FINISHED
its time budget is used up                    FINISHED, the rest goes back to the lane
its lanes have another epoch, or we drain     FINISHED likewise; a request we broke off is nobody's failure
its lease ran out unrenewed                   FINISHED likewise
an exchange failed and may be tried again     RETRY
an exchange failed for the last time          EXHAUSTED
the endpoint is gone (410)                    GONE
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
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

SUCCESS_BODY_BYTES = 2048
"""What is kept of an acknowledgement's body: nobody debugs those, and every report carries one."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """Where and how the requests of one subscription version go."""

    version: int
    target: Target
    head: bytes
    retry: Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """How long one errand may take: `budget_s` in all, `deadline_s` per exchange, `lease_s` without a report.

    `log_attempts` has each exchange logged, for those who look for a fault.
    """

    budget_s: float
    deadline_s: float
    lease_s: float
    retry_time_scale: float = 1.0
    log_attempts: bool = False

    @property
    def longest_s(self) -> float:
        """When even the slowest errand has ended and was reported, or given up."""
        return self.budget_s + self.deadline_s + 2 * self.lease_s + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Time and chance, as arguments."""

    monotonic: Monotonic
    wall: WallClock
    chance: Callable[[], float]


class DeliverySender:
    """Advanced on the loop's thread; `done`, `stopped` and `lease_end` are read and set from the reporter's."""

    def __init__(
        self,
        ref: DeliveryRef,
        batches: Sequence[Batch],
        plan: RequestTemplate,
        *,
        bounds: SendLimits,
        clocks: Clocks,
        ended: Callable[["DeliverySender"], None],
    ) -> None:
        self.ref = ref
        self.batches = batches
        self.target = plan.target
        self.deadline_s = bounds.deadline_s
        self.done = 0
        self.stopped = False
        self.verdict: Verdict = DELIVERED
        self._plan = plan
        self._time_scale = bounds.retry_time_scale
        self._log_attempts = bounds.log_attempts
        self._clocks = clocks
        self._ended = ended
        self._began = clocks.monotonic()
        self._stop_at = self._began + bounds.budget_s
        self.took_s = 0.0
        self.lease_end = self._began + bounds.lease_s
        self._acknowledged: Response | None = None
        self._failure: Outcome | None = None

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """The next request, or None at the end; `outcome` is the last one's, None before the first."""
        now = self._clocks.monotonic()
        if self._log_attempts and outcome is not None:
            self._log_attempt(outcome)
        if outcome is None:
            self._began, self._stop_at = now, now + (self._stop_at - self._began)
        elif acknowledged(outcome):
            self.done += 1
            self._acknowledged = outcome  # type: ignore[assignment]  # acknowledged() says it is a Response
        elif isinstance(outcome, Failure) and outcome.code is FailureCode.SHUTDOWN:
            self.stopped = True  # our own stop is no failure of the endpoint's: what was not answered goes back
        else:
            self._failed(outcome)
            self._end(now)
            return None
        if self.done >= len(self.batches) or self.stopped or now >= self._stop_at or now >= self.lease_end:
            self._end(now)
            return None
        batch = self.batches[self.done]
        return b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\nContent-Length: %d\r\n\r\n%b" % (
            self._plan.head,
            batch.webhook_id.encode(),
            self._clocks.wall(),
            len(batch.body),
            batch.body,
        )

    def progress(self) -> Report:
        """How far it got up to now."""
        return Report(
            ReportKind.PROGRESS, self.ref.id, self.ref.attempt, self.done, self._clocks.monotonic() - self._began
        )

    def report(self) -> Report:
        """How it ended."""
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
            self.took_s,
            wait_s,
            self._shown(self._acknowledged, self.done - 1, SUCCESS_BODY_BYTES) if self._acknowledged else None,
            self._shown(self._failure, self.done, None) if self._failure else None,
        )

    @property
    def failures_before(self) -> int:
        """How often the batch that is to be sent now failed before this delivery was made."""
        return self.ref.failures if self.done == 0 else 0

    @property
    def failure_code(self) -> str:
        """Why it stopped, in one word; empty when nothing failed."""
        return failure_code(self._failure) if self._failure is not None else ""

    def _end(self, now: float) -> None:
        self.took_s = now - self._began
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

    def _failed(self, outcome: Outcome) -> None:
        self._failure = outcome
        self.verdict = judge(
            outcome,
            self._plan.retry,
            failures=self.failures_before + self.ref.attempt,
            probe=self.ref.probe,
            chance=self._clocks.chance(),
            wall_now=self._clocks.wall(),
            time_scale=self._time_scale,
        )

    def _shown(self, outcome: Outcome, index: int, body_bytes: int | None) -> LoggedExchange:
        at, webhook_id = self._clocks.wall(), self.batches[index].webhook_id
        if isinstance(outcome, Response):
            error = "" if acknowledged(outcome) else failure_code(outcome)
            return LoggedExchange(at, webhook_id, outcome.status, outcome.head, outcome.body[:body_bytes], error)
        return LoggedExchange(at, webhook_id, error=failure_code(outcome), detail=outcome.detail)
