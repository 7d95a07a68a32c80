"""The protocols of the API's collaborators: Kafka, change notifications, and the coordination store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flask import Flask

from webhookd.flow.access.rate_limit import Allowance, Rate
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.offsets.topic_metadata import TopicRules, TopicSample
from webhookd.settings import Settings
from webhookd.store.database import Database


class Brokers(Protocol):
    """Kafka's offsets; every call raises KafkaUnavailable within its timeout, and TopicDenied."""

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """The end offset of each partition of each topic; {} for a topic that does not exist."""

    def topic_ids(self, topics: Sequence[str], timeout_s: float) -> dict[str, str]:
        """The UUID of each topic that exists, as far as the brokers return it."""

    def topic_rules(self, topic: str, timeout_s: float) -> TopicRules:
        """The rules for writing to a topic, as far as the brokers return them in time."""

    def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
        """For each topic whether it exists, and its last records; the group is not joined."""

    def commit(self, group: str, offsets: Mapping[str, Mapping[int, int]], timeout_s: float) -> None:
        """Commit offsets for a group without members; raises Conflict when it has members."""

    def cluster_id(self, timeout_s: float) -> str:
        """The id of the cluster; empty when the brokers have none."""

    def ping(self, timeout_s: float) -> None:
        """Check that one broker answers."""


class ChangeNotifications(Protocol):
    """Publishes change notifications; every call raises QueueUnavailable within about a second."""

    def publish(self, notification: ChangeNotification) -> None:
        """Notify every process of a change."""

    def ping(self) -> None:
        """Check that the queue's Redis accepts a write."""


class Coordination(Protocol):
    """Workers and their queues; every call raises QueueUnavailable within its timeout."""

    def live_workers(self) -> list[WorkerHeartbeat]:
        """The workers with a recent heartbeat."""

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue."""

    def ping(self) -> None:
        """Check that the coordination store accepts a write."""


class RateLimits(Protocol):
    """Counts requests; a call never fails, and takes a second at most."""

    def take(self, subject: str, rate: Rate) -> Allowance:
        """Count one request of this subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The collaborators of every route."""

    settings: Settings
    database: Database
    brokers: Brokers
    notifications: ChangeNotifications
    coordination: Coordination | None = None

    def ping_queue(self) -> None:
        """Check the queue as its workers use it, and the coordination store. Raises QueueUnavailable."""
        self.notifications.ping()
        if self.coordination is not None:
            self.coordination.ping()


EXTENSION = "webhookd"
"""The key of the services in a Flask application's `extensions`."""


def services_of(app: Flask) -> Services:
    """The services of this application."""
    services: Services = app.extensions[EXTENSION]
    return services
