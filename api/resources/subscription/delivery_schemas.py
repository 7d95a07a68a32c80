"""The wire format of the limits of a subscription's requests, `configuration.delivery`."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError

from api.extensions.request_fields import Choice, Number, Part, WholeNumber
from api.extensions.request_schema import RequestSchema
from webhookd.flow.destination import LONGEST_TIMEOUT_S, RateLimit, RateUnit, RequestLimits

TIMEOUT_LEAST: Final = 1
TIMEOUT_MOST: Final = int(LONGEST_TIMEOUT_S)
RATE_LEAST: Final = 0.01
RATE_MOST: Final = 100_000
BURST_MOST: Final = 100_000
CONCURRENT_MOST: Final = 1000

BURST_PART: Final = 0.25
"""The burst of a rate limit without one, as a part of what a second allows: small enough that no ten seconds have more
than 2.5 % too much, and what a fast endpoint gets in one delivery."""


class RateLimitSchema(RequestSchema):
    """How many requests or records the endpoint gets at most."""

    per_second = Number(
        RATE_LEAST,
        RATE_MOST,
        required=True,
        metadata={"description": "How many a second, in the long run.", "example": 10},
    )
    burst = WholeNumber(
        1,
        BURST_MOST,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "How many at once, after a pause. If not given, a quarter of what a second allows, at least "
            "one request, or with `records` one batch of `max_batch_size`. With `records` it may not be less than that."
        },
    )
    unit = Choice(
        [unit.value for unit in RateUnit],
        load_default=RateUnit.REQUESTS.value,
        metadata={"description": "What is counted: `requests`, or the `records` in them."},
    )


class DeliveryLimitsSchema(RequestSchema):
    """Limits of the requests; retries and probes count."""

    timeout_seconds = WholeNumber(
        TIMEOUT_LEAST,
        TIMEOUT_MOST,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "How long one request may take, from before the DNS look-up to the status line of the "
            "response, in seconds. `null`: as long as the operator allows (`WEBHOOKD_REQUEST_DEADLINE_S`, 15 s unless "
            "it is set)."
        },
    )
    rate_limit = Part(
        RateLimitSchema,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "The highest rate, over all partitions and processes; `null`: none. Records wait in Kafka."
        },
    )
    max_concurrent_requests = WholeNumber(
        1,
        CONCURRENT_MOST,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "How many requests may be open at once, over all partitions and processes; `null`: one for "
            "each partition."
        },
    )


def check_burst(configuration: Mapping[str, Any]) -> None:
    """Raise ValidationError if a full batch has more records than the burst allows: it could never be sent."""
    rate_limit, size = configuration["delivery"]["rate_limit"], configuration["batching"]["max_batch_size"]
    if not rate_limit or rate_limit["unit"] != RateUnit.RECORDS.value or rate_limit["burst"] is None:
        return
    if rate_limit["burst"] < size:
        reason = f"is less than max_batch_size, so that a full batch could not be sent: write {size} or more"
        raise ValidationError({"delivery": {"rate_limit": {"burst": [reason]}}})


def parse_limits(configuration: Mapping[str, Any]) -> RequestLimits:
    """Return the limits that a validated `configuration` describes."""
    delivery = configuration["delivery"]
    timeout, rate_limit = delivery["timeout_seconds"], delivery["rate_limit"]
    return RequestLimits(
        timeout_s=None if timeout is None else float(timeout),
        rate_limit=_rate_limit(rate_limit, configuration["batching"]["max_batch_size"]),
        max_concurrent=delivery["max_concurrent_requests"],
    )


def render_limits(limits: RequestLimits) -> dict[str, Any]:
    """The limits as responses show them."""
    rate = limits.rate_limit
    return {
        "timeout_seconds": None if limits.timeout_s is None else int(limits.timeout_s),
        "rate_limit": rate and {"per_second": _shown(rate.per_second), "burst": rate.burst, "unit": rate.unit.value},
        "max_concurrent_requests": limits.max_concurrent,
    }


def _rate_limit(document: Mapping[str, Any] | None, batch_size: int) -> RateLimit | None:
    if document is None:
        return None
    unit, per_second = RateUnit(document["unit"]), float(document["per_second"])
    least = batch_size if unit is RateUnit.RECORDS else 1
    return RateLimit(
        per_second=per_second, burst=document["burst"] or max(least, int(per_second * BURST_PART)), unit=unit
    )


def _shown(number: float) -> float:
    """A whole number without a fraction."""
    return int(number) if number == int(number) else number
