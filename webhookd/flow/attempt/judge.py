"""The verdict on one exchange: its batch is acknowledged, is tried again, or gets no further attempt.

class       outcome                                       verdict
success     the subscription's success codes              Delivered; `acknowledged` says so, the others are judged
gone        410                                           Refused GONE: the subscription is deactivated
divisible   413; under `on_rejected: split` also 400,     Refused DIVISIBLE: smaller batches of the same records may be
            409 and 422; for a batch of several records   accepted
permanent   3xx, and any 4xx but 408, 410, 425 and 429;   Refused PERMANENT: the same request gets the same response
            address_refused, url_refused,                 or is refused again by the operators' rules
            token_not_allowed
retryable   anything else: no response, 408, 425, 429,    RetryAt, after the algorithm's wait or a longer Retry-After,
            5xx, 2xx that is no success                   as long as failures ≤ max_retries. After that Refused
                                                          EXHAUSTED. A probe is Refused EXHAUSTED at once, since its
                                                          lane waits for the next probe instead
"""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.flow.attempt import retry
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.response_head import retry_after_s
from webhookd.flow.attempt.success_codes import DEFAULT_STATUSES
from webhookd.flow.subscription import OnRejected, Retry

GONE_STATUS = 410
TOO_LARGE_STATUS = 413
CONTENT_STATUS = frozenset({400, 409, 422})
"""Refusals that may be about one of the records. 401, 403, 404 and 405, say, are about the endpoint, so that each part
of the batch would be refused as well."""

RETRYABLE_STATUS = frozenset({408, 425, 429})
REFUSED_HERE = frozenset({FailureCode.ADDRESS_REFUSED, FailureCode.URL_REFUSED, FailureCode.TOKEN_NOT_ALLOWED})
"""webhookd itself refuses to send: nothing left this machine."""

SLOW_DOWN = frozenset({"http_429", "http_503"})
"""The endpoint asks for fewer requests: its subscription slows down (flow/dispatch/slow_down.py)."""


class Refusal(StrEnum):
    """Why a batch gets no further attempt."""

    EXHAUSTED = "exhausted"
    PERMANENT = "permanent"
    GONE = "gone"
    DIVISIBLE = "divisible"


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


def acknowledged(outcome: Outcome, success: frozenset[int] = DEFAULT_STATUSES) -> bool:
    """Whether the endpoint acknowledged the batch: its status is one of `success`."""
    return type(outcome) is Response and outcome.status in success


def judge(
    outcome: Outcome,
    policy: Retry,
    *,
    failures: int,
    probe: bool,
    chance: float,
    wall_now: float,
    time_scale: float = 1.0,
    records: int = 1,
) -> RetryAt | Refused:
    """Return the verdict on an exchange that did not acknowledge its batch of `records`.

    `failures` counts the failures of the batch in a row, without this one. `chance` is a random number in [0, 1).
    """
    code = failure_code(outcome)
    requested_s = _requested_wait_s(outcome, wall_now)
    permanent = _permanent(outcome)
    if permanent is Refusal.PERMANENT and records > 1 and _divisible(outcome, policy.on_rejected):
        return Refused(code, Refusal.DIVISIBLE, requested_s)
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
    if isinstance(outcome, Failure):
        return Refusal.PERMANENT if outcome.code in REFUSED_HERE else None
    if not 300 <= outcome.status < 500 or outcome.status in RETRYABLE_STATUS:
        return None
    return Refusal.GONE if outcome.status == GONE_STATUS else Refusal.PERMANENT


def _divisible(outcome: Outcome, on_rejected: OnRejected) -> bool:
    """Whether a part of the batch may be accepted."""
    if isinstance(outcome, Failure):
        return False
    split = on_rejected is OnRejected.SPLIT and outcome.status in CONTENT_STATUS
    return split or outcome.status == TOO_LARGE_STATUS


def _requested_wait_s(outcome: Outcome, wall_now: float) -> float:
    """The wait that `Retry-After` asks for, up to an hour; 0 without one."""
    if isinstance(outcome, Failure):
        return min(outcome.retry_after_s, retry.LONGEST_RETRY_AFTER_S)
    requested_s = retry_after_s(outcome.head, wall_now)
    return min(requested_s or 0.0, retry.LONGEST_RETRY_AFTER_S)
