"""How a stored dead letter is shown."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from api.resources.status.picture import iso
from webhookd.store.dead_letters import StoredLetter

Document = Mapping[str, Any]
"""What the schema has checked."""


def render(stored: StoredLetter) -> dict[str, Any]:
    """The dead letter as it is answered; bytes are shown as in the envelope."""
    letter = stored.letter
    return {
        "topic": letter.partition.topic,
        "partition": letter.partition.number,
        "offset": letter.offset,
        "timestamp": letter.timestamp_ms,
        "key": _shown(letter.key),
        "headers": [{"name": name, "value": _shown(value)} for name, value in letter.headers],
        "value": _shown(letter.value),
        "cause": letter.cause,
        "detail": letter.detail,
        "status": letter.status,
        "attempts": letter.attempts,
        "stored": iso(stored.stored_at),
    }


def place(stored: StoredLetter) -> str:
    """Its position, as a page's `after` names it."""
    letter = stored.letter
    return f"{letter.partition.topic}:{letter.partition.number}:{letter.offset}"


def _shown(raw: bytes | None) -> str | dict[str, str] | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}
