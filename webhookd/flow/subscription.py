"""A subscription as its owner configured it: immutable, and validated before it gets here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from webhookd.flow.access.caller import DEFAULT_TENANT
from webhookd.flow.destination import Destination, RequestLimits
from webhookd.flow.policy.policy import PolicySet, TopicPolicies

INTERNAL_PREFIX = "__"
"""Kafka reserves no prefix, but all topics that it creates itself begin with this one."""


class Start(StrEnum):
    """Where a new subscription begins to read a topic that already holds records."""

    LATEST = "latest"
    EARLIEST = "earliest"


class OnExhausted(StrEnum):
    """What to do when a batch has no attempt left, or the endpoint refused it permanently."""

    PAUSE = "pause"
    DEAD_LETTER = "dead_letter"


class OnRejected(StrEnum):
    """What is refused when the endpoint refuses a batch of several records permanently (400, 422).

    WHOLE: the batch. SPLIT: the batch is halved until the record that is refused stands alone.
    """

    WHOLE = "whole"
    SPLIT = "split"


class OnFilterError(StrEnum):
    """What to do with a record on which a filter cannot be evaluated, unless another filter rejects the record."""

    DEAD_LETTER = "dead_letter"
    DROP = "drop"


class RetryAlgorithm(StrEnum):
    """How the wait before the next attempt grows."""

    EXPONENTIAL_BACKOFF = "exponential_backoff"
    FIXED_TIME = "fixed_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One topic; a record must pass all filters.

    `start_offsets` are the end offsets, by partition, that the brokers returned before the API answered 201. A
    partition that is not among them appeared later and is read from its beginning. The offsets are valid only for the
    topic with the UUID `topic_id` ("" if it is not known): a topic that was deleted and recreated is another topic.
    """

    topic: str
    jmes_filters: tuple[str, ...] = ()
    start: Start = Start.LATEST
    start_offsets: Mapping[int, int] = field(default_factory=dict)
    topic_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering:
    """What happens when a filter cannot be evaluated. By default only records that a filter rejects are dropped."""

    on_filter_error: OnFilterError = OnFilterError.DEAD_LETTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How many records and bytes one request holds at most, and how long the first record waits for the others.

    `max_batch_bytes` bounds the body, except that a record that is larger is sent alone; None for no bound of its own.
    """

    max_batch_size: int = 1
    max_batch_interval_s: float = 1.0
    max_batch_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a failed batch is retried (0: never), how long each retry waits, and what happens after the last one.

    `dead_letter_topic` is a Kafka topic that receives a copy of every dead letter; "" for none.
    """

    max_retries: int = 5
    algorithm: RetryAlgorithm = RetryAlgorithm.EXPONENTIAL_BACKOFF
    on_exhausted: OnExhausted = OnExhausted.PAUSE
    on_rejected: OnRejected = OnRejected.WHOLE
    dead_letter_topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """Who is mailed when deliveries fail."""

    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What its owner's people and systems know it by; no delivery depends on it. `external_id` is unique per tenant."""

    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """When a client created and last changed the document, in seconds since the epoch.

    `revision` increases with every change by a client, and with no other change.
    """

    revision: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a client registered; `version` increases with every change.

    `inactive_reason` says why webhookd deactivated it ("gone": the endpoint returned 410); "" if its owner did.
    `policies` has what the operators allow its tenant to see of each topic; it is set where the subscription is run.
    """

    id: str
    version: int
    name: str
    active: bool
    destination: Destination
    sources: tuple[Source, ...]
    batching: Batching = Batching()
    retry: Retry = Retry()
    limits: RequestLimits = field(default_factory=RequestLimits)
    alerting: Alerting = Alerting()
    filtering: Filtering = Filtering()
    details: Details = Details()
    history: History = History()
    inactive_reason: str = ""
    tenant: str = DEFAULT_TENANT
    policies: Mapping[str, TopicPolicies] = field(default_factory=dict)

    @property
    def consumer_group(self) -> str:
        """The Kafka consumer group that holds this subscription's offsets."""
        return consumer_group(self.id)

    @property
    def governed(self) -> bool:
        """Whether there is a policy of one of its topics."""
        return any(applied.governed for applied in self.policies.values())

    @property
    def topics_not_allowed(self) -> tuple[str, ...]:
        """The topics of which its tenant may read nothing; also those for which `policies` has no entry."""
        return tuple(
            source.topic
            for source in self.sources
            if (applied := self.policies.get(source.topic)) is None or not applied.allowed
        )

    def with_policies(self, policies: Mapping[str, TopicPolicies]) -> "Subscription":
        """Return the subscription with what its tenant may see of each topic."""
        return replace(self, policies=policies)

    def under(self, policies: PolicySet, *, open_without_policy: bool) -> "Subscription":
        """Return the subscription with what these policies allow its tenant to see of each topic."""
        tenant = self.tenant
        return self.with_policies(
            {
                source.topic: policies.of_topic(tenant, source.topic, open_without_policy=open_without_policy)
                for source in self.sources
            }
        )


def is_internal(topic: str) -> bool:
    """Whether a topic is internal to Kafka or to a tool of it, such as `__consumer_offsets`.

    A subscription to that one would feed itself: each of its commits is a record of the topic.
    """
    return topic.startswith(INTERNAL_PREFIX)


def consumer_group(subscription_id: str) -> str:
    """The name of a subscription's consumer group."""
    return f"webhooks-{subscription_id}"
