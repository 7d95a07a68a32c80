"""Maps JSON documents to subscriptions and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from api.resources.status.rendering import iso
from api.resources.subscription.authentication_wire import parse_authentication, render_authentication
from api.resources.subscription.delivery_schemas import parse_limits, render_limits
from api.resources.subscription.signing_wire import parse_signing, render_signing
from api.resources.subscription.tls_wire import parse_tls, render_tls
from webhookd.errors import InvalidInput
from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.attempt.header import is_masked, mask, parse_header
from webhookd.flow.destination import Destination, Method, Verification, with_kept_verification
from webhookd.flow.subscription import (
    Alerting,
    Batching,
    Details,
    Filtering,
    History,
    OnExhausted,
    OnFilterError,
    OnRejected,
    Retry,
    RetryAlgorithm,
    Source,
    Start,
    Subscription,
)

Document = Mapping[str, Any]
"""A document that the schema has validated, or is going to serialise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the document does not decide: id, version, history and tenant, and what is stored under that id."""

    id: str
    version: int = 1
    history: History = field(default_factory=History)
    stored: Subscription | None = None
    tenant: str = DEFAULT_TENANT


def parse(document: Document, identity: Identity) -> Subscription:
    """Return the subscription that a validated document describes, with the stored start offsets.

    A new subscription without a signing secret gets one. Raises InvalidInput if the document contradicts the stored
    subscription: a masked value without a stored one, or another start for a topic that is already read.
    """
    batching, retry = document["configuration"]["batching"], document["configuration"]["retry"]
    return Subscription(
        id=identity.id,
        version=identity.version,
        name=document["name"],
        active=document["active"] == "yes",
        destination=_destination(document["destination"]["webhook"], identity.stored),
        sources=_sources(document["source"], identity.stored),
        batching=Batching(
            max_batch_size=batching["max_batch_size"],
            max_batch_interval_s=float(batching["max_batch_interval_seconds"]),
            max_batch_bytes=batching["max_batch_bytes"],
        ),
        retry=Retry(
            max_retries=retry["max_retries"],
            algorithm=RetryAlgorithm(retry["retry_algorithm"]),
            on_exhausted=OnExhausted(retry["on_exhausted"]),
            on_rejected=OnRejected(retry["on_rejected"]),
            dead_letter_topic=retry["dead_letter_topic"] or "",
        ),
        limits=parse_limits(document["configuration"]),
        alerting=Alerting(emails=tuple(document["configuration"]["alerting"]["alert_emails"])),
        filtering=Filtering(on_filter_error=OnFilterError(document["configuration"]["filtering"]["on_filter_error"])),
        details=Details(
            description=document["description"], labels=document["labels"], external_id=document["external_id"]
        ),
        history=identity.history,
        inactive_reason=_inactive_reason(document, identity.stored),
        tenant=identity.tenant,
    )


def _inactive_reason(document: Document, stored: Subscription | None) -> str:
    """Return the reason of webhookd's deactivation, which stays until the owner activates the subscription again."""
    return stored.inactive_reason if stored and document["active"] == "no" else ""


def render(subscription: Subscription) -> dict[str, Any]:
    """The subscription as responses show it: header values and secrets are masked."""
    return {
        "id": subscription.id,
        "kind": "Webhook",
        "tenant": subscription.tenant,
        "name": subscription.name,
        "description": subscription.details.description,
        "labels": dict(sorted(subscription.details.labels.items())),
        "external_id": subscription.details.external_id,
        "active": "yes" if subscription.active else "no",
        "destination": {
            "kind": "webhook",
            "webhook": {
                "url": subscription.destination.url,
                "headers": [mask(name) for name, _ in subscription.destination.headers],
                "signing": render_signing(subscription.destination.signing),
                "method": subscription.destination.method.value,
                "success_codes": list(subscription.destination.success_codes),
                "tls": render_tls(subscription.destination.tls),
                "authentication": render_authentication(subscription.destination.authentication),
                "verification": {"kind": subscription.destination.verification.value},
            },
        },
        "source": [_render_source(source) for source in subscription.sources],
        "configuration": {
            "batching": {
                "max_batch_size": subscription.batching.max_batch_size,
                "max_batch_interval_seconds": int(subscription.batching.max_batch_interval_s),
                "max_batch_bytes": subscription.batching.max_batch_bytes,
            },
            "retry": {
                "max_retries": subscription.retry.max_retries,
                "retry_algorithm": subscription.retry.algorithm.value,
                "on_exhausted": subscription.retry.on_exhausted.value,
                "on_rejected": subscription.retry.on_rejected.value,
                "dead_letter_topic": subscription.retry.dead_letter_topic or None,
            },
            "delivery": render_limits(subscription.limits),
            "alerting": {"alert_channel": "email", "alert_emails": list(subscription.alerting.emails)},
            "filtering": {"on_filter_error": subscription.filtering.on_filter_error.value},
        },
        "created_at": iso(subscription.history.created_at),
        "updated_at": iso(subscription.history.updated_at),
    }


def _render_source(source: Source) -> dict[str, Any]:
    return {"topic": source.topic, "jmes_filters": list(source.jmes_filters), "start": source.start.value}


def _destination(webhook: Document, stored: Subscription | None) -> Destination:
    known = {name.lower(): value for name, value in stored.destination.headers} if stored else {}
    headers = [_header(index, text, known) for index, text in enumerate(webhook["headers"])]
    parsed = Destination(
        url=webhook["url"],
        headers=tuple(headers),
        method=Method(webhook["method"]),
        success_codes=tuple(webhook["success_codes"]),
        signing=parse_signing(webhook["signing"], stored),
        tls=parse_tls(webhook["tls"], stored),
        authentication=parse_authentication(webhook["authentication"], stored),
        verification=Verification(webhook["verification"]["kind"]),
    )
    return with_kept_verification(parsed, stored.destination) if stored else parsed


def _header(index: int, text: str, known: Mapping[str, str]) -> tuple[str, str]:
    name, value = parse_header(text)
    if not is_masked(value):
        return name, value
    if name.lower() not in known:
        raise InvalidInput(
            "is masked, and there is no stored value to keep", field=f"destination.webhook.headers[{index}]"
        )
    return name, known[name.lower()]


def _sources(documents: list[Document], stored: Subscription | None) -> tuple[Source, ...]:
    known = {source.topic: source for source in stored.sources} if stored else {}
    return tuple(_source(index, document, known) for index, document in enumerate(documents))


def _source(index: int, document: Document, known: Mapping[str, Source]) -> Source:
    topic, filters, start = document["topic"], tuple(document["jmes_filters"]), document["start"]
    before = known.get(topic)
    if before is None:
        return Source(topic=topic, jmes_filters=filters, start=Start(start or Start.LATEST))
    if start not in {None, before.start.value}:
        raise InvalidInput("cannot be changed: the topic is being read already", field=f"source[{index}].start")
    return replace(before, jmes_filters=filters)
