"""An ingest process that cannot reach Kafka does not affect the others, and one that reaches another cluster ends.

Real: every process, and a broker with a second listener that it advertises behind a relay, so that a test can close
one process' route. Oracles: what the receiver got, the processes' logs, and the API.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.free_ports import free_ports
from stack.kafka import KafkaOptions
from stack.service_group import ServiceGroup
from tests.acceptance.conftest import QUICK
from tests.harness.command_process import CommandProcess
from tests.harness.databases import new_database
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import Receiver
from tests.harness.relay import Relay
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.errors import KafkaUnavailable
from webhookd.store import kafka_cluster
from webhookd.store.database import Database

FIRST = "ingest"
UNREACHABLE = {"WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
TIMES = {
    "WEBHOOKD_LEASE_S": "2",
    "WEBHOOKD_REQUEST_DEADLINE_S": "3",
    "WEBHOOKD_INGEST_MEMBER_TIMEOUT_S": "20",
    "WEBHOOKD_INGEST_KAFKA_TIMEOUT_S": "4",
}
SUBSCRIPTIONS = 8

CLUSTER_EXIT_CODE = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A broker's own address, its second listener's address, and the relay that this listener advertises."""

    direct: str
    behind: str
    relay: Relay

    @property
    def relayed(self) -> dict[str, str]:
        """The setting of a process that reaches the broker through the relay."""
        return {"WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.relay.port}"}


@pytest.fixture(scope="module")
def routes() -> Iterator[Routes]:
    own, controller, behind, relayed = free_ports(4)
    listeners = {
        "listeners": f"PLAINTEXT://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller},RELAYED://127.0.0.1:{behind}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{own},RELAYED://127.0.0.1:{relayed}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,RELAYED:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    with ServiceGroup() as services, Relay(relayed, behind) as relay:
        cluster = services.start_kafka(KafkaOptions(settings=listeners), [own, controller])
        services.wait_ready()
        yield Routes(direct=cluster.address, behind=f"127.0.0.1:{behind}", relay=relay)


@pytest.fixture(scope="module")
def service(routes: Routes, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The service on that broker, with short timeouts."""
    folder = tmp_path_factory.mktemp("route")
    with (
        new_database("postgres", folder, tables=True) as database,
        Pipeline(
            folder, kafka=routes.direct, redis=redis_url, database=database, settings={**QUICK, **TIMES}
        ) as running,
    ):
        yield running


@pytest.fixture
def second(service: Pipeline) -> Iterator[str]:
    """The name of another ingest process, which the test starts; the subscriptions end with it."""
    name = f"ingest-{uuid.uuid4().hex}"
    yield name
    for subscription in service.ask("GET", "/1/EventNotificationAdmin")["webhooks"]:
        service.ask("DELETE", f"/1/Subscription/{subscription['id']}")
    if service.runs(name):
        service.terminate(name)


@pytest.fixture
def pipeline(service: Pipeline, routes: Routes) -> Pipeline:
    """The service with its first ingest process, which has no subscription."""
    routes.relay.open()
    if not service.runs(FIRST):
        service.start(FIRST)
    until(lambda: runs(service, FIRST) == set(), "it has no subscription")
    return service


@pytest.fixture
def without_first(service: Pipeline, routes: Routes) -> Pipeline:
    """The service without its first ingest process."""
    routes.relay.open()
    if service.runs(FIRST):
        service.terminate(FIRST)
    return service


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


def subscribed(pipeline: Pipeline, receiver: Receiver) -> dict[str, str]:
    """Register subscriptions with a topic each; returns the topics by subscription."""
    topics = [pipeline.topic(1) for _ in range(SUBSCRIPTIONS)]
    return {pipeline.subscribe(receiver.url, topic): topic for topic in topics}


def produce(pipeline: Pipeline, topics: dict[str, str]) -> None:
    for topic in topics.values():
        pipeline.produce(topic, numbers(5), partitions=1)


def logged_for(pipeline: Pipeline, name: str, event: str) -> list[str]:
    """The subscriptions in a process' log lines with this event, in order."""
    return [line["subscription"] for line in pipeline.lines(name) if line["event"] == event]


def runs(pipeline: Pipeline, name: str) -> set[str]:
    """The subscriptions that a process runs now, from its log."""
    running: list[str] = []
    for line in pipeline.lines(name):
        if line["event"] == "subscription_started":
            running.append(line["subscription"])
        elif line["event"] == "subscription_stopped":
            running.remove(line["subscription"])
    return set(running)


def test_reachable_bootstrap_server_alone_is_not_enough(routes: Routes) -> None:
    probe = KafkaProbe(KafkaConnection(routes.behind))
    routes.relay.close()
    with pytest.raises(KafkaUnavailable):
        probe.cluster_id(2.0)
    routes.relay.open()
    assert probe.cluster_id(20.0)


def test_process_that_never_reached_kafka_runs_no_subscription(pipeline: Pipeline, second: str) -> None:
    with Receiver() as receiver:
        until(lambda: '"event":"kafka_cluster"' in pipeline.log(FIRST), "the first process reads Kafka")
        pipeline.start(second, **UNREACHABLE)
        until(lambda: '"event":"membership_changed"' in pipeline.log(second), "the second one takes no part")
        topics = subscribed(pipeline, receiver)
        produce(pipeline, topics)
        receiver.wait_for_records(5 * SUBSCRIPTIONS)
        assert logged_for(pipeline, second, "subscription_started") == []
        assert runs(pipeline, FIRST) == set(topics)
        until(lambda: "kafka_unavailable" in faults(pipeline), "/health shows the fault")


def test_process_without_kafka_gives_up_its_share_and_gets_it_back(
    pipeline: Pipeline, second: str, routes: Routes
) -> None:
    with Receiver() as receiver:
        pipeline.start(second, **routes.relayed)
        until(lambda: '"ingests":2' in pipeline.log(second), "they have found each other")
        topics: dict[str, str] = {}
        while not (share := runs(pipeline, second)):
            topics.update(subscribed(pipeline, receiver))
            until(lambda: runs(pipeline, FIRST) | runs(pipeline, second) == set(topics), "all are read")
        ids = set(topics)
        routes.relay.close()
        until(lambda: runs(pipeline, FIRST) == ids, "the first process has them all")
        produce(pipeline, topics)
        receiver.wait_for_records(5 * len(ids))
        assert runs(pipeline, second) == set()
        routes.relay.open()
        until(lambda: runs(pipeline, second) == share and runs(pipeline, FIRST) == ids - share, "shared as before")
        produce(pipeline, topics)
        receiver.wait_for_records(10 * len(ids))
        assert receiver.out_of_order == 0


def test_status_says_that_the_only_process_cannot_read(without_first: Pipeline, second: str, routes: Routes) -> None:
    pipeline = without_first
    with Receiver() as receiver:
        topic = pipeline.topic(1)
        pipeline.start(second, **routes.relayed)
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(5), partitions=1)
        receiver.wait_for_records(5)
        pipeline.wait_committed(id_, topic)
        routes.relay.close()
        until(lambda: pipeline.status(id_)["lag"] is None, "the lag is not known")
        until(lambda: pipeline.status(id_)["reason"] == "kafka_unavailable", "the status shows the reason")
        assert runs(pipeline, second) == {id_}
        pipeline.produce(topic, numbers(5), partitions=1)
        routes.relay.open()
        receiver.wait_for_records(10)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)


def test_process_started_without_kafka_reads_when_it_is_reachable(
    without_first: Pipeline, second: str, routes: Routes
) -> None:
    pipeline = without_first
    with Receiver() as receiver:
        topic = pipeline.topic(1)
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(5), partitions=1)
        routes.relay.close()
        pipeline.start(second, **routes.relayed)
        until(lambda: pipeline.status(id_)["reason"] == "kafka_unavailable", "the status shows the reason")
        routes.relay.open()
        receiver.wait_for_records(5)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy")


def test_processes_refuse_another_cluster_than_the_databases(
    kafka_bootstrap: str, redis_url: str, tmp_path: Path
) -> None:
    found = KafkaProbe(KafkaConnection(kafka_bootstrap)).cluster_id(20.0)
    with new_database("postgres", tmp_path, tables=True) as url:
        database = Database(url)
        with database.transaction() as session:
            kafka_cluster.record(session, "the-one-before")
        database.close()
        environment = {
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
            "WEBHOOKD_REDIS_URL": redis_url,
            "WEBHOOKD_DATABASE_URL": url,
            "WEBHOOKD_API_BIND": f"127.0.0.1:{free_ports(1)[0]}",
        }
        with CommandProcess("ingest", environment=environment) as ingest:
            assert ingest.wait() == CLUSTER_EXIT_CODE
            line = ingest.wait_for('"event":"cluster_mismatch"')
            assert found in line
            assert "the-one-before" in line
        with CommandProcess("api", environment=environment) as api:
            assert api.wait() == CLUSTER_EXIT_CODE
            assert '"event":"cluster_mismatch"' in api.wait_for("the-one-before")
            assert "Traceback" not in api.output
        with CommandProcess("cluster", environment=environment) as shown:
            assert shown.wait() == 0
            assert "recorded: the-one-before" in shown.output
            assert found in shown.output
        with CommandProcess("cluster", "--forget", environment=environment) as forgotten:
            assert forgotten.wait() == 0
        with CommandProcess("ingest", environment=environment) as ingest:
            ingest.wait_for('"event":"kafka_cluster"')
            assert ingest.interrupt() == 0


def faults(pipeline: Pipeline) -> set[str]:
    return {fault["code"] for fault in pipeline.ask("GET", "/health")["faults"]}
