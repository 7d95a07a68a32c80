"""The wire format of the limits of a subscription's requests, `configuration.delivery`."""

from collections.abc import Mapping
from typing import Any, Final

from api.extensions.request_fields import WholeNumber
from api.extensions.request_schema import RequestSchema
from webhookd.flow.destination import LONGEST_TIMEOUT_S, RequestLimits

TIMEOUT_LEAST: Final = 1
TIMEOUT_MOST: Final = int(LONGEST_TIMEOUT_S)


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


def parse_limits(configuration: Mapping[str, Any]) -> RequestLimits:
    """Return the limits that a validated `configuration` describes."""
    delivery = configuration["delivery"]
    timeout = delivery["timeout_seconds"]
    return RequestLimits(
        timeout_s=None if timeout is None else float(timeout),
    )


def render_limits(limits: RequestLimits) -> dict[str, Any]:
    """The limits as responses show them."""
    return {
        "timeout_seconds": None if limits.timeout_s is None else int(limits.timeout_s),
    }
