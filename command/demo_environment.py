"""The demo's environment: a cluster, a receiver and the embedded service, with three subscriptions on one topic."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from command.api_client import ManagementClient
from command.demo_orders import FILTER, TOPIC, DemoOrders
from command.embedded import EmbeddedService
from command.loading import load_settings
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.errors import KafkaUnavailable
from webhookd.settings import Settings
from webhookd.testing.mock_cluster import MockCluster
from webhookd.testing.offset_tally import Offsets, Tally
from webhookd.testing.receiver import CheckingReceiver

ASK_S = 5.0
DRAIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSubscription:
    """One subscription of the demo: the records that it should receive, and those that it has received."""

    name: str
    id: str
    expected: Offsets
    tally: Tally

    @property
    def undelivered(self) -> int:
        """How many records have not been delivered yet."""
        return len(self.expected) - len(self.tally.delivered)

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

    def counters(self, subscription: DemoSubscription) -> Mapping[str, Any]:
        """The counters in the subscription's status."""
        counters: Mapping[str, Any] = self._api.status(subscription.id)["counters"]
        return counters

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
        receiver = CheckingReceiver([_path(name) for name in SUBSCRIPTIONS])
        exits.callback(receiver.stop)
        self._offsets = KafkaAdmin(cluster.bootstrap_servers)
        self.service = EmbeddedService(_settings(cluster.bootstrap_servers, self._directory))
        exits.callback(self.service.stop, DRAIN_S)
        self._api = ManagementClient(self.service.api_url)
        exits.callback(self._api.close)
        for name, special in SUBSCRIPTIONS.items():
            document = {"name": name, "destination": {"webhook": {"url": receiver.url + _path(name)}}, **special}
            id_ = self._api.register(document)["id"]
            expected = self.orders.large_german if name == "filtered" else self.orders.all
            self.subscriptions.append(
                DemoSubscription(name=name, id=id_, expected=expected, tally=receiver.tallies[_path(name)])
            )
        self.service.start()


SUBSCRIPTIONS: Mapping[str, Mapping[str, Any]] = {
    "everything": {"source": [{"topic": TOPIC}]},
    "filtered": {"source": [{"topic": TOPIC, "jmes_filters": [FILTER]}]},
    "batches of 100": {"source": [{"topic": TOPIC}], "configuration": {"batching": {"max_batch_size": 100}}},
}


def _path(name: str) -> str:
    return "/" + name.replace(" ", "-")


def _settings(bootstrap_servers: str, directory: Path) -> Settings:
    """The default settings, except for the edges and for what the mock cluster needs."""
    return load_settings(
        kafka_bootstrap_servers=bootstrap_servers,
        # With the mock cluster the classic protocol waits 3 s, and an empty fetch always lasts as long as is set here.
        kafka_group_protocol="consumer",
        kafka_fetch_wait_s=0.01,
        redis_url="memory://",
        database_url=f"sqlite:///{directory / 'webhookd.db'}",
        egress_allow=("127.0.0.0/8",),
    )
