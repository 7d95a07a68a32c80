"""Tries policies out on records: what a tenant would see."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from api.extensions.callers import transaction
from api.ports import Services
from api.resources.policy.wire import Document, parse
from webhookd import clock
from webhookd.errors import InvalidInput, KafkaUnavailable, TopicDenied
from webhookd.flow.authorization.authorizer import Decision, TopicAuthorizer, Verdict
from webhookd.flow.authorization.seen_record import SeenRecord, shown_bytes
from webhookd.flow.policy.policy import PolicySet
from webhookd.flow.subscription import consumer_group
from webhookd.store import policies

EVALUATION_S: Final = 5.0
"""How long all evaluations of one request may take together; each has its own budget of steps too."""

GROUP: Final = consumer_group("dry-run")
"""Under this name records are sampled; the group is never joined."""


class DryRun:
    """One dry run, from a document that the schema has validated."""

    def __init__(self, services: Services, document: Document) -> None:
        self._services = services
        self._document = document

    def result(self) -> dict[str, Any]:
        """The result as the response shows it; blocks for Kafka. Raises InvalidInput, Unavailable."""
        topic = self._document["topic"]
        open_ = self._services.settings.open_without_policy
        applied = self._policies().of_topic(self._document["tenant"], topic, open_without_policy=open_)
        authorizer = TopicAuthorizer(applied)
        records = self._records()
        decisions = list(_decided(authorizer, records, whole=applied.unrestricted))
        return {
            "governed": applied.governed,
            "allowed": applied.allowed,
            "policies": [policy.id for policy in applied.policies],
            "complete": len(decisions) == len(records),
            "records": decisions,
        }

    def _policies(self) -> PolicySet:
        stored = PolicySet()
        if self._document["stored"] == "yes":
            with transaction(self._services) as session:
                stored = policies.read(session)
        draft = self._document["policy"]
        if draft is None:
            return stored
        try:
            policy = parse(draft, str(draft["id"] or uuid.uuid4()))
        except InvalidInput as error:
            error.field = f"policy.{error.field}"
            raise
        return replace(stored, policies=(*(one for one in stored.policies if one.id != policy.id), policy))

    def _records(self) -> Sequence[SeenRecord]:
        given = self._document["records"]
        return self._sampled() if given is None else [_record(one) for one in given]

    def _sampled(self) -> Sequence[SeenRecord]:
        topic, timeout_s = self._document["topic"], self._services.settings.kafka_ask_timeout_s
        sample = self._services.brokers.samples(GROUP, [topic], self._document["count"], timeout_s)[topic]
        if sample.denied:
            raise TopicDenied(topic, field="topic")
        if not sample.exists:
            raise InvalidInput("does not exist in Kafka", field="topic")
        if sample.values is None:
            raise KafkaUnavailable("the records could not be read in time")
        return [SeenRecord(value=value) for value in sample.values]


def _decided(authorizer: TopicAuthorizer, records: Sequence[SeenRecord], *, whole: bool) -> Iterator[dict[str, Any]]:
    until = clock.monotonic() + EVALUATION_S
    for record in records:
        if clock.monotonic() >= until:
            return
        decision = Decision(verdict=Verdict.ALLOWED, seen=record) if whole else None
        yield _rendered(decision or authorizer.decide(record.value, record.key, record.headers))


def _rendered(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": decision.verdict.value,
        "policy": decision.policy_id or None,
        "seen": _shown(decision.seen) if decision.seen is not None else None,
        "detail": decision.detail,
        "failed_conditions": [{"policy": policy, "reason": reason} for policy, reason in decision.failed],
    }


def _shown(seen: SeenRecord) -> dict[str, Any]:
    return {
        "key": shown_bytes(seen.key),
        "headers": [{"name": name, "value": shown_bytes(value)} for name, value in seen.headers],
        "value": shown_bytes(seen.value),
    }


def _record(document: Document) -> SeenRecord:
    return SeenRecord(
        key=_bytes(document["key"]),
        headers=tuple((header["name"], _bytes(header["value"])) for header in document["headers"]),
        value=_value(document),
    )


def _value(document: Document) -> bytes | None:
    if document["text"] is not None:
        return _bytes(document["text"])
    return None if document["value"] is None else json.dumps(document["value"]).encode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")
