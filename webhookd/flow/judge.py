"""What one exchange means for its batch: acknowledged, to be tried again, or given up.

outcome              failures so far    verdict
2xx                  any                Delivered
anything else        ≤ max_retries      RetryAt, after the algorithm's wait or a longer Retry-After
anything else        > max_retries      Refused
anything else        any, on a probe    Refused: a held lane waits for its next probe instead
"""

from dataclasses import dataclass

from webhookd.flow import retry
from webhookd.flow.outcome import Failure, Outcome, Response
from webhookd.flow.response_head import retry_after_s
from webhookd.flow.subscription import Retry


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint acknowledged."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The batch is tried again after `wait_s` seconds."""

    wait_s: float
    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no retry left."""

    code: str


Verdict = Delivered | RetryAt | Refused
DELIVERED = Delivered()


def acknowledged(outcome: Outcome) -> bool:
    """Whether the endpoint took the batch (RFC 9110 §15.3: any 2xx)."""
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
    """The verdict on one exchange; `failures` counts this batch's failures in a row, this one not included."""
    if acknowledged(outcome):
        return DELIVERED
    code = code_of(outcome)
    if probe or failures >= policy.max_retries:
        return Refused(code)
    asked_s = retry_after_s(outcome.head, wall_now) if isinstance(outcome, Response) else None
    wait_s = retry.wait_s(policy.algorithm, failures + 1, chance) * time_scale
    return RetryAt(max(wait_s, min(asked_s or 0.0, retry.LONGEST_RETRY_AFTER_S)), code)


def code_of(outcome: Outcome) -> str:
    """The failure's one word: `http_503`, or what kept an answer from coming."""
    return str(outcome.code) if isinstance(outcome, Failure) else f"http_{outcome.status}"
