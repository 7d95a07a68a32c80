"""When an endpoint is asked whether it wants the requests of a subscription. Ingest decides that, and workers ask.

event                                          then
the subscription starts                        the endpoint is asked at once, or when it is its turn (question_turns.py)
it has not consented                           again after 5 s, doubling to 5 min, ±20 %; later if it sent Retry-After
no report has come for as long as a worker     again at once: the task, the worker or the report was lost, or no worker
may take                                       has taken the task. Each time it may take twice as long, up to 5 min
it has consented                               nothing more: once that is in the database, the subscription starts again
                                               with another version, which delivers

Deliveries begin only when the consent is in the database: a report that is lost costs another question, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from webhookd.flow.attempt import retry
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.subscription import RetryAlgorithm

LONGEST_WAIT_S = 300.0
"""The longest wait between two questions, as long as the endpoint asks for no longer one."""

_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTiming:
    """How long a worker may take from the publication to its report; `retry_time_scale` multiplies all waits."""

    answer_within_s: float
    retry_time_scale: float = 1.0


class EndpointVerification:
    """The verification of one version of a subscription; owned by the ingest loop. Times are monotonic seconds.

    `new_token` makes ids, `chance` random numbers in [0, 1).
    """

    def __init__(self, timing: VerificationTiming, new_token: Callable[[], str], chance: Callable[[], float]) -> None:
        self._timing = timing
        self._new_token = new_token
        self._chance = chance
        self._lost = 0
        self.due_at = -inf
        """When the next question is due. While an answer is awaited: when that counts as lost."""
        self.id = ""
        """The id of the last question; "" before the first one."""
        self.refusals = 0
        """How often the endpoint was asked and has not consented."""
        self.failure: LoggedExchange | None = None
        """The last of these answers."""
        self.consented = False

    def resume(self, refusals: int, due_at: float) -> None:
        """Go on where the process before has ended: a restart must not make an endpoint get more questions."""
        self.refusals, self.due_at = refusals, due_at

    @property
    def detail(self) -> str:
        """What the endpoint has answered last, for people."""
        if self.failure is None:
            return "no worker has reported an answer yet"
        return f"{self.failure.error}: {self.failure.detail}" if self.failure.detail else self.failure.error

    def due(self, now: float) -> bool:
        """Whether to ask now."""
        return not self.consented and now >= self.due_at

    def awaits_answer(self, now: float) -> bool:
        """Whether a worker may be asking now."""
        return bool(self.id) and now < self.due_at

    def next_at(self, now: float) -> float | None:
        """When the next question is due; None while an answer is awaited, or once the endpoint has consented."""
        return self.due_at if not (self.id or self.consented) and self.due_at > now else None

    def ask(self, now: float) -> str:
        """Begin a question; returns its id."""
        self._lost = self._lost + 1 if self.id else 0
        within_s = self._timing.answer_within_s
        self.due_at = now + min(within_s * 2.0 ** min(self._lost, _MOST_DOUBLINGS), max(within_s, LONGEST_WAIT_S))
        self.id = self._new_token()
        return self.id

    def reported(self, report: Report, now: float) -> bool:
        """Take the report of a worker; returns False for one about an earlier question, which counts only if it is yes.

        An endpoint that has consented has done so whichever question it has answered.
        """
        if report.kind is ReportKind.VERIFIED:
            self.consented, self.id = True, ""
            return True
        if report.delivery != self.id:
            return False
        self.id, self._lost = "", 0
        self.refusals += 1
        self.failure = report.failure
        wait_s = retry.wait_s(RetryAlgorithm.EXPONENTIAL_BACKOFF, min(self.refusals, _MOST_DOUBLINGS), self._chance())
        wait_s = min(wait_s, LONGEST_WAIT_S) * self._timing.retry_time_scale
        self.due_at = now + max(wait_s, report.wait_s)
        return True
