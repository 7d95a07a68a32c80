"""The demo's environment: a cluster, a receiver and the embedded service, with three subscriptions on one topic."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from command.api_client import ManagementClient
from command.demo_orders import FILTER, TOPIC, DemoOrders
from command.embedded import BIND, EmbeddedService
from command.loading import load_settings
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import KafkaUnavailable
from webhookd.settings import Settings
from webhookd.store.secret_keys import with_key_file
from webhookd.testing.mock_cluster import MockCluster
from webhookd.testing.offset_tally import Offsets, Tally
from webhookd.testing.receiver import CheckingReceiver

ASK_S = 5.0
DRAIN_S = 3.0
RETRY_TIME_SCALE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSubscription:
    """One subscription of the demo: the records that it should receive, and those that it has received."""

    name: str
    id: str
    path: str
    expected: Offsets
    tally: Tally

    @property
    def undelivered(self) -> int:
        """How many records have not been delivered yet; a delivery may be known before Kafka's acknowledgement."""
        return max(0, len(self.expected) - len(self.tally.delivered))

    @property
    def lost(self) -> int:
        """How many of the expected records are missing."""
        return self.expected.minus(self.tally.delivered)

    @property
    def unexpected(self) -> int:
        """How many of the records that have arrived should have been dropped by the filter."""
        return self.tally.delivered.minus(self.expected)


class DemoEnvironment(AbstractContextManager["DemoEnvironment"]):
    """A context: everything is started on entry and removed on exit."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._exits = ExitStack()
        self.partitions = 0
        self.subscriptions: list[DemoSubscription] = []
        self.orders: DemoOrders
        self.service: EmbeddedService
        self.receiver: CheckingReceiver
        self._offsets: KafkaAdmin
        self._api: ManagementClient

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._open(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def subscription(self, name: str) -> DemoSubscription:
        """The subscription of that name."""
        return next(subscription for subscription in self.subscriptions if subscription.name == name)

    def status(self, subscription: DemoSubscription) -> Mapping[str, Any]:
        """The subscription's status, from the API."""
        return self._api.status(subscription.id)

    def status_url(self, subscription: DemoSubscription) -> str:
        """Where the API has the subscription's status."""
        return f"{self.service.api_url}/1/Subscription/{subscription.id}/Status"

    @property
    def undelivered(self) -> int:
        """How many records the subscription that is furthest behind has not received yet."""
        return max(subscription.undelivered for subscription in self.subscriptions)

    def committed(self, subscription: DemoSubscription) -> bool:
        """Whether the group's committed offsets are past every record."""
        ends = self.orders.all.ends()
        topics = sorted({topic for topic, _ in ends})
        try:
            commits = self._offsets.commits(f"webhooks-{subscription.id}", topics, ASK_S)
        except KafkaUnavailable:
            return False
        offsets = {(place.topic, place.number): at.offset for place, at in commits.items()}
        return all(offsets.get(place, -1) >= end for place, end in ends.items())

    def _open(self, exits: ExitStack) -> None:
        cluster = MockCluster()
        self.partitions = cluster.create_topic(TOPIC)
        self.orders = DemoOrders(cluster.producer)
        self.receiver = CheckingReceiver([_path(name) for name in SUBSCRIPTIONS])
        exits.callback(self.receiver.stop)
        self._offsets = KafkaAdmin(KafkaConnection(cluster.bootstrap_servers))
        self.service = EmbeddedService(_settings(cluster.bootstrap_servers, self._directory))
        exits.callback(self.service.stop, DRAIN_S)
        self._api = ManagementClient(self.service.api_url)
        exits.callback(self._api.close)
        for name, special in SUBSCRIPTIONS.items():
            self.subscriptions.append(self._register(name, special))
        self.service.start()

    def _register(self, name: str, special: Mapping[str, Any]) -> DemoSubscription:
        path = _path(name)
        webhook = {"url": self.receiver.url + path, "headers": ["X-Api-Key: secret"]}
        document = {"name": name, "destination": {"webhook": webhook}, **special}
        return DemoSubscription(
            name=name,
            id=self._api.register(document)["id"],
            path=path,
            expected=self.orders.large_german if name == FILTERED else self.orders.all,
            tally=self.receiver.tallies[path],
        )


EVERYTHING = "everything"
FILTERED = "filtered"

SUBSCRIPTIONS: Mapping[str, Mapping[str, Any]] = {
    EVERYTHING: {"source": [{"topic": TOPIC}]},
    FILTERED: {"source": [{"topic": TOPIC, "jmes_filters": [FILTER]}]},
    "batches of 100": {"source": [{"topic": TOPIC}], "configuration": {"batching": {"max_batch_size": 100}}},
}


def _path(name: str) -> str:
    return "/" + name.replace(" ", "-")


def _settings(bootstrap_servers: str, directory: Path) -> Settings:
    """The default settings, except for the edges and for what the mock cluster needs."""
    settings = load_settings(
        kafka_bootstrap_servers=bootstrap_servers,
        # With the mock cluster the classic protocol waits 3 s, and an empty fetch always lasts as long as is set here.
        kafka_group_protocol="consumer",
        kafka_fetch_wait_s=0.01,
        redis_url="memory://",
        metrics_bind="",
        database_url=f"sqlite:///{directory / 'webhookd.db'}",
        egress_allow=("127.0.0.0/8",),
        api_auth="none",
        api_bind=BIND,
        # The first retry waits for 5 s otherwise: too long for a demo of ten seconds.
        retry_time_scale=RETRY_TIME_SCALE,
    )
    return with_key_file(settings, directory)
