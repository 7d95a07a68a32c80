"""Renders stored dead letters for responses."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.resources.status.rendering import iso
from webhookd.flow.authorization.seen_record import shown_bytes
from webhookd.store.dead_letters import StoredDeadLetter

Document = Mapping[str, Any]
"""Arguments that the schema has checked."""


def render(stored: StoredDeadLetter, *, hidden: bool = False) -> dict[str, Any]:
    """Return the dead letter as responses show it; bytes are rendered as in the envelope. A hidden one has none."""
    dead_letter = stored.dead_letter
    if hidden:
        dead_letter = replace(dead_letter, key=None, headers=(), value=None)
    return {
        "topic": dead_letter.partition.topic,
        "partition": dead_letter.partition.number,
        "offset": dead_letter.offset,
        "timestamp": dead_letter.timestamp_ms,
        "key": shown_bytes(dead_letter.key),
        "headers": [{"name": name, "value": shown_bytes(value)} for name, value in dead_letter.headers],
        "value": shown_bytes(dead_letter.value),
        "hidden": hidden,
        "cause": dead_letter.cause,
        "detail": dead_letter.detail,
        "status": dead_letter.status,
        "attempts": dead_letter.attempts,
        "stored": iso(stored.stored_at),
    }


def place(stored: StoredDeadLetter) -> str:
    """Return its position in the format of a page's `after`."""
    dead_letter = stored.dead_letter
    return f"{dead_letter.partition.topic}:{dead_letter.partition.number}:{dead_letter.offset}"
