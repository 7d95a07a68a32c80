"""What the API needs from the world around it; the edges and the shipped fakes fit these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flask import Flask

from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.flow.offsets.topic_metadata import TopicRules
from webhookd.settings import Settings
from webhookd.store.database import Database


class Brokers(Protocol):
    """Kafka's offsets; every call raises KafkaUnavailable within its timeout, and TopicDenied."""

    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """Where each topic ends; {} for one that does not exist."""

    def topic_ids(self, topics: Sequence[str], timeout_s: float) -> dict[str, str]:
        """The UUID of each topic that exists, as far as the brokers tell."""

    def topic_rules(self, topic: str, timeout_s: float) -> TopicRules:
        """How a topic may be written to, as far as the brokers tell in time."""

    def commit(self, group: str, offsets: Mapping[str, Mapping[int, int]], timeout_s: float) -> None:
        """Commit into a group without members; Conflict when it has some."""

    def cluster_id(self, timeout_s: float) -> str:
        """The id of the cluster; empty for one that has none to compare."""

    def ping(self, timeout_s: float) -> None:
        """Have one broker answer."""


class ChangeNotifications(Protocol):
    """Where changes are announced; every call raises QueueUnavailable within about a second."""

    def publish(self, announcement: ChangeNotification) -> None:
        """Tell every process what changed."""

    def ping(self) -> None:
        """Have the queue's broker take a write."""


class Coordination(Protocol):
    """What the board says of workers and their queues; every call raises QueueUnavailable within its timeout."""

    def live_workers(self) -> list[WorkerHeartbeat]:
        """The workers that are alive."""

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue."""

    def ping(self) -> None:
        """Have it take a write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What `create_app` was given, and every route works with."""

    settings: Settings
    database: Database
    brokers: Brokers
    notifications: ChangeNotifications
    coordination: Coordination | None = None


EXTENSION = "webhookd"
"""Under this name the services stand among a Flask application's extensions."""


def services_of(app: Flask) -> Services:
    """The services of this application."""
    services: Services = app.extensions[EXTENSION]
    return services
