"""Maps API keys to JSON documents."""

from typing import Any

from api.resources.status.rendering import iso
from webhookd.flow.access.api_key import ApiKey
from webhookd.store.key_changes import MadeKey


def render(key: ApiKey, now: float) -> dict[str, Any]:
    """The key as responses show it: nothing of its secret part."""
    return {
        "id": key.id,
        "kind": "Key",
        "name": key.name,
        "role": key.role.value,
        "tenant": key.tenant,
        "state": key.state(now).value,
        "created_at": iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "last_used_at": _iso(key.last_used_at),
        "successor_id": key.successor_id,
    }


def render_made(made: MadeKey, now: float) -> dict[str, Any]:
    """A new key with its token."""
    return {**render(made.key, now), "key": made.token.text}


def _iso(at: float | None) -> str | None:
    return None if at is None else iso(at)
