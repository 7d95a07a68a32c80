"""The verdict on one exchange: its batch is acknowledged, is tried again, or gets no further attempt.

class       outcome                                       verdict
success     2xx                                           Delivered
gone        410                                           Refused GONE: the subscription is deactivated
permanent   3xx, and any 4xx but 408, 410, 425 and 429    Refused PERMANENT: the same request gets the same response
retryable   anything else: no response, 408, 425, 429,    RetryAt, after the algorithm's wait or a longer Retry-After,
            5xx                                           as long as failures ≤ max_retries. After that Refused
                                                          EXHAUSTED. A probe is Refused EXHAUSTED at once, since its
                                                          lane waits for the next probe instead
"""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.flow.attempt import retry
from webhookd.flow.attempt.exchange_result import Failure, Outcome, Response
from webhookd.flow.attempt.response_head import retry_after_s
from webhookd.flow.subscription import Retry

GONE_STATUS = 410
RETRYABLE_STATUS = frozenset({408, 425, 429})
SLOW_DOWN = frozenset({"http_429", "http_503"})
"""The endpoint asks for fewer requests: its lanes pause between deliveries (flow/settlement/lane_updates.py)."""


class Refusal(StrEnum):
    """Why a batch gets no further attempt."""

    EXHAUSTED = "exhausted"
    PERMANENT = "permanent"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint acknowledged the batch."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The batch is tried again after `wait_s` seconds."""

    wait_s: float
    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The batch is not tried again. `wait_s` is the wait that the endpoint asked for, 0 if it did not."""

    code: str
    why: Refusal
    wait_s: float = 0.0


Verdict = Delivered | RetryAt | Refused
DELIVERED = Delivered()


def acknowledged(outcome: Outcome) -> bool:
    """Whether the endpoint acknowledged the batch (RFC 9110 §15.3: any 2xx)."""
    return type(outcome) is Response and 200 <= outcome.status < 300


def judge(
    outcome: Outcome,
    policy: Retry,
    *,
    failures: int,
    probe: bool,
    chance: float,
    wall_now: float,
    time_scale: float = 1.0,
) -> Verdict:
    """Return the verdict on one exchange.

    `failures` counts the failures of the batch in a row, without this one. `chance` is a random number in [0, 1).
    """
    if acknowledged(outcome):
        return DELIVERED
    code = failure_code(outcome)
    requested_s = _requested_wait_s(outcome, wall_now)
    permanent = _permanent(outcome)
    if permanent is not None:
        return Refused(code, permanent, requested_s)
    if probe or failures >= policy.max_retries:
        return Refused(code, Refusal.EXHAUSTED, requested_s)
    wait_s = retry.wait_s(policy.algorithm, failures + 1, chance) * time_scale
    return RetryAt(max(wait_s, requested_s), code)


def failure_code(outcome: Outcome) -> str:
    """The code of a failure: `http_503`, or why there was no response."""
    return str(outcome.code) if isinstance(outcome, Failure) else f"http_{outcome.status}"


def _permanent(outcome: Outcome) -> Refusal | None:
    """Return why a retry of the same request cannot succeed; None if it may succeed."""
    if isinstance(outcome, Failure) or not 300 <= outcome.status < 500 or outcome.status in RETRYABLE_STATUS:
        return None
    return Refusal.GONE if outcome.status == GONE_STATUS else Refusal.PERMANENT


def _requested_wait_s(outcome: Outcome, wall_now: float) -> float:
    """The wait that `Retry-After` asks for, up to an hour; 0 without one."""
    if isinstance(outcome, Failure):
        return min(outcome.retry_after_s, retry.LONGEST_RETRY_AFTER_S)
    requested_s = retry_after_s(outcome.head, wall_now)
    return min(requested_s or 0.0, retry.LONGEST_RETRY_AFTER_S)
