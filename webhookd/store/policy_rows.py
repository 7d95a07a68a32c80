"""Maps a policy to its row, to its document, and back; a row that cannot be used denies what it is about."""

from collections.abc import Mapping
from typing import Any

from webhookd import logs
from webhookd.flow.policy.policy import Effect, Policy, Projection, ProjectionKind

_log = logs.get(__name__)


def document_of(policy: Policy) -> dict[str, Any]:
    """The policy as the API, its history and the audit log show it; without its version and times."""
    return {
        "id": policy.id,
        "tenant": policy.tenant,
        "topic": policy.topic,
        "effect": policy.effect.value,
        "priority": policy.priority,
        "condition": policy.condition,
        "projection": projection_document(policy.projection),
        "description": policy.description,
    }


def projection_document(projection: Projection | None) -> dict[str, Any] | None:
    """The projection as JSON: one member, named after its kind."""
    if projection is None:
        return None
    if projection.kind is ProjectionKind.EXPRESSION:
        return {projection.kind.value: projection.expression}
    return {projection.kind.value: list(projection.paths)}


def projection_of(document: Mapping[str, Any] | None) -> Projection | None:
    """The projection in a valid document, None for an empty one; raises ValueError or TypeError for another one."""
    if not document:
        return None
    ((name, value),) = document.items()
    kind = ProjectionKind(name)
    if kind is ProjectionKind.EXPRESSION:
        return Projection(kind=kind, expression=_text(value))
    return Projection(kind=kind, paths=tuple(_text(path) for path in value))


def policy_of(row: Mapping[str, Any]) -> Policy:
    """The policy in a row; one with an unknown effect or projection denies every record of its topics."""
    common = {name: row[name] for name in ("id", "version", "tenant", "topic", "priority", "description")}
    try:
        effect, projection = Effect(row["effect"]), projection_of(row["projection"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _log.error("policy_unusable", policy=row["id"], detail=repr(error))
        return Policy(**common, effect=Effect.DENY)
    return Policy(**common, effect=effect, condition=row["condition"], projection=projection)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
