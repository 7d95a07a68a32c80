"""The document of a benchmark's subscription."""

from collections.abc import Mapping, Sequence
from typing import Any


def document(
    url: str,
    topic: str,
    *,
    batch: int = 1,
    filters: Sequence[str] = (),
    start: str = "earliest",
    retry: Mapping[str, Any] | None = None,
    signed: bool = False,
) -> dict[str, Any]:
    """A subscription as the API accepts it; its requests are signed only if `signed`."""
    signing = {"kind": "hmac_sha256" if signed else "none"}
    return {
        "name": f"load test of {topic}",
        "destination": {"kind": "webhook", "webhook": {"url": url, "signing": signing}},
        "source": [{"topic": topic, "jmes_filters": list(filters), "start": start}],
        "configuration": {
            "batching": {"max_batch_size": batch, "max_batch_interval_seconds": 1},
            "retry": dict(retry or {}),
        },
    }
