"""A subscription as its owner configured it: frozen, and checked before it gets here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Start(StrEnum):
    """Where a new subscription begins to read a topic that already holds records."""

    LATEST = "latest"
    EARLIEST = "earliest"


class OnExhausted(StrEnum):
    """What becomes of a lane whose batch has no attempt left, or was refused for good."""

    PAUSE = "pause"
    DEAD_LETTER = "dead_letter"


class OnFilterError(StrEnum):
    """What becomes of a record on whose types a filter raises; one that no other filter rejects."""

    DEAD_LETTER = "dead_letter"
    DROP = "drop"


class RetryAlgorithm(StrEnum):
    """How the wait before the next attempt grows."""

    EXPONENTIAL_BACKOFF = "exponential_backoff"
    FIXED_TIME = "fixed_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One topic with the filters a record must all pass.

    `start_offsets` are the end offsets, by partition, that the brokers gave before the subscription was answered
    with 201; a partition that is not in there appeared later and is read from its beginning. They hold for the topic
    with the UUID `topic_id` only ("" where it is not known): one that was deleted and made again is another topic.
    """

    topic: str
    jmes_filters: tuple[str, ...] = ()
    start: Start = Start.LATEST
    start_offsets: Mapping[int, int] = field(default_factory=dict)
    topic_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering:
    """What happens where filters cannot judge a record. By default nothing vanishes that no filter has rejected."""

    on_filter_error: OnFilterError = OnFilterError.DEAD_LETTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the requests go, and the headers they carry (in clear: never log this)."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How many records make a request, and how long the first of them waits for the others."""

    max_batch_size: int = 1
    max_batch_interval_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a failed batch is tried again (0: never), after what waits, and what happens when that did not help.

    `dead_letter_topic` is a Kafka topic that gets a copy of every dead letter; "" for none.
    """

    max_retries: int = 5
    algorithm: RetryAlgorithm = RetryAlgorithm.EXPONENTIAL_BACKOFF
    on_exhausted: OnExhausted = OnExhausted.PAUSE
    dead_letter_topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """Who is told when deliveries fail."""

    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a client registered; `version` grows with every change.

    `inactive_reason` says why webhookd switched it off ("gone": the endpoint answered 410); "" when its owner did.
    """

    id: str
    version: int
    name: str
    active: bool
    destination: Destination
    sources: tuple[Source, ...]
    batching: Batching = Batching()
    retry: Retry = Retry()
    alerting: Alerting = Alerting()
    filtering: Filtering = Filtering()
    inactive_reason: str = ""

    @property
    def consumer_group(self) -> str:
        """The Kafka consumer group that holds this subscription's offsets."""
        return consumer_group(self.id)


def consumer_group(subscription_id: str) -> str:
    """The name of a subscription's consumer group."""
    return f"webhooks-{subscription_id}"
