"""Builders of valid subscriptions; a test changes what matters to it."""

import copy
from typing import Any

from webhookd.flow.destination import Destination, SigningSecret
from webhookd.flow.subscription import (
    Alerting,
    Batching,
    Filtering,
    OnFilterError,
    Retry,
    RetryAlgorithm,
    Source,
    Start,
    Subscription,
)

ID = "6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"
OTHER_ID = "b3e1d9a4-0c77-4b0e-8f65-7a0f6f2f9c22"

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The signing secret of the examples of Standard Webhooks."""

_DOCUMENT: dict[str, Any] = {
    "name": "orders to the shop",
    "destination": {
        "kind": "webhook",
        "webhook": {"url": "https://example.com/hook", "headers": ["X-Api-Key: secret"]},
    },
    "source": [{"topic": "orders", "jmes_filters": ["total > `100`"]}],
}


def subscription(id_: str = ID, **changes: Any) -> Subscription:  # noqa: ANN401  # whatever a Subscription takes
    """A subscription with all parts set."""
    values: dict[str, Any] = {
        "id": id_,
        "version": 1,
        "name": "orders to the shop",
        "active": True,
        "destination": Destination(url="https://example.com/hook", headers=(("X-Api-Key", "secret"),)),
        "sources": (
            Source(topic="orders", jmes_filters=("total > `100`",), start_offsets={0: 5, 11: 7}),
            Source(topic="refunds", start=Start.EARLIEST),
        ),
        "batching": Batching(max_batch_size=100, max_batch_interval_s=2.0),
        "retry": Retry(max_retries=3, algorithm=RetryAlgorithm.FIXED_TIME),
        "alerting": Alerting(emails=("ops@example.com",)),
        "filtering": Filtering(on_filter_error=OnFilterError.DROP),
    }
    return Subscription(**(values | changes))


def signed_destination(*secrets: SigningSecret) -> Destination:
    """A destination whose requests are signed with these secrets, the current one first."""
    return Destination(url="https://example.com/hook", signing=secrets or (SigningSecret(secret=SECRET),))


def document(path: str = "", value: object = None) -> dict[str, Any]:
    """A document that the API accepts; with a path (`source.0.topic`) that field is set to the value."""
    built = copy.deepcopy(_DOCUMENT)
    if path:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = built
        for part in parents:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        place[last] = value
    return built
