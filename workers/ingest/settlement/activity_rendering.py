"""Renders calls as rows of the activity log, masked and readable; runs on the database writer's thread."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from webhookd.flow.attempt.attempt_report import LoggedExchange
from webhookd.flow.attempt.authentication import AUTHORIZATION
from webhookd.flow.attempt.header import mask
from webhookd.flow.attempt.response_body import text_of
from webhookd.flow.attempt.response_head import parse_head
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.activity_rollup import CallRollup
from webhookd.flow.subscription import Subscription


def row_renderer(subscription: Subscription, calls: Sequence[CallRollup]) -> Callable[[], list[Activity]]:
    """Return a function that renders the rows; the database writer calls it on its thread."""
    return lambda: [_row(subscription, call) for call in calls]


def verification_row(subscription: Subscription, exchange: LoggedExchange, method: str) -> Activity:
    """Return the row of a request that has asked the endpoint whether it wants the requests."""
    row = _row(subscription, CallRollup(exchange, 1, succeeded=not exchange.error))
    return replace(row, request=f"{method} {subscription.destination.url}")


def _row(subscription: Subscription, call: CallRollup) -> Activity:
    exchange = call.exchange
    return Activity(
        subscription_id=subscription.id,
        at=exchange.at,
        event=Event.API_CALL,
        succeeded=call.succeeded,
        calls=call.calls,
        request=f"{subscription.destination.method} {subscription.destination.url}",
        request_headers=(
            *[mask(name) for name, _ in subscription.destination.headers],
            *([mask(AUTHORIZATION)] if subscription.destination.authentication else []),
            f"webhook-id: {exchange.webhook_id}",
            f"webhook-timestamp: {int(exchange.at)}",
            f"webhook-attempt: {exchange.attempt}",
        ),
        response_code=exchange.status or None,
        response_body=text_of(exchange.head, exchange.body),
        response_headers=tuple(parse_head(exchange.head)),
        error=exchange.error,
        detail=exchange.detail,
    )
