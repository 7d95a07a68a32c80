"""The rig of a load test: starts and stops Kafka, Redis, Postgres, nginx and the real commands."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import requests
from redis import Redis
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from stack.child import Child
from stack.free_ports import free_ports
from stack.kafka import KafkaOptions
from stack.kafka_counters import TopicBytes, topic_bytes
from stack.service_group import ServiceGroup
from stack.waiting import until_ready
from webhookd_load_test import service_commands
from webhookd_load_test.benchmarks.rig.checking_receiver import (
    ASK_TIMEOUT_S,
    START_TIMEOUT_S,
    CheckingReceiver,
    checking_receiver,
)
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.benchmarks.rig.pipeline import Pipeline
from webhookd_load_test.benchmarks.rig.subscription_document import document
from webhookd_load_test.process_usage import Roots
from webhookd_load_test.records.topics import create_topics
from webhookd_load_test.service_commands import STOP_TIMEOUT_S

UNAVAILABLE = Retry(
    total=None,
    connect=0,
    read=0,
    other=0,
    redirect=0,
    status=5,
    backoff_factor=0.5,
    status_forcelist=[503],
    allowed_methods=None,
    raise_on_status=False,
)
"""A broker that is busy creating topics answers late; a request that got 503 can be repeated."""

BROKER = KafkaOptions(heap_mb=1024, warmed_up=True)
"""As a production broker runs: it shares the machine with what is measured."""

GROUPS_WAIT: Mapping[str, str] = {"group.initial.rebalance.delay.ms": "3000"}
"""Kafka's own value, for what a new group of the classic protocol costs in time; the stack's brokers have 0."""

CALLS_AT_A_TIME = 8
"""How many calls of the API are made at the same time to register or delete many subscriptions."""

NGINX_COUNT = re.compile(r"^ \d+ \d+ (\d+)", re.MULTILINE)


class HasAddress(Protocol):
    """A service, started by this process or by another one."""

    @property
    def address(self) -> str:
        """The address that clients connect to."""


class Rig:
    """A context: the services, a migrated database and the API. Each `pipeline` starts ingest and workers.

    Use it on the main thread.
    """

    def __init__(self, broker: KafkaOptions = BROKER) -> None:
        self._broker = broker
        self._exits = ExitStack()
        self.services: Roots = {}
        """The services' processes."""
        self._jmx_ports: Sequence[int] = ()
        self._asked_nginx = 0
        self._api = f"127.0.0.1:{free_ports(1)[0]}"

    def __enter__(self) -> Self:
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir(parents=True)
        with ExitStack() as undo:
            services = undo.enter_context(ServiceGroup())
            self.environment = self._environment(self._start_services(services, undo))
            self.command("migrate").must_succeed("webhookd migrate")
            self.api = self.command("api")
            undo.callback(self.api.stop, STOP_TIMEOUT_S)
            until_ready("webhookd api", self._api_answers, [self.api], START_TIMEOUT_S)
            self._exits = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _start_services(self, services: ServiceGroup, undo: ExitStack) -> str:
        """Start the services; returns the URL of an empty database."""
        del undo
        self.kafka: HasAddress = (kafka := services.start_kafka(self._broker))
        self.redis: HasAddress = (redis := services.start_redis())
        self._jmx_ports = kafka.jmx_ports
        postgres = services.start_postgres()
        self.nginx = services.start_nginx()
        services.wait_ready()
        self.services = {
            "kafka": kafka.pids,
            "redis": [redis.child.pid],
            "postgres": [postgres.child.pid],
            "nginx": [self.nginx.child.pid],
        }
        return postgres.create_database("load_test")

    @contextmanager
    def settings(self, more: Mapping[str, str]) -> Iterator[None]:
        """Add to the environment of the processes that are started in this context."""
        before = self.environment
        self.environment = {**before, **more}
        try:
            yield
        finally:
            self.environment = before

    @contextmanager
    def pipeline(self, workers: int = 1, threads: int | None = None, *, ingests: int = 1) -> Iterator[Pipeline]:
        """Run some ingest and worker processes; afterwards stop them and empty Redis."""
        with ExitStack() as exits:
            exits.callback(self._empty_redis)
            yield exits.enter_context(Pipeline(self.environment, workers, threads, ingests=ingests))

    def _empty_redis(self) -> None:
        with Redis.from_url(self.redis.address) as redis:
            redis.flushdb()

    @contextmanager
    def receiver(self, delay_s: float = 0.0) -> Iterator[CheckingReceiver]:
        """A checking receiver, which answers after `delay_s`."""
        with checking_receiver(delay_s) as receiver:
            yield receiver

    @contextmanager
    def subscription(self, url: str, topic: str, **parts: Any) -> Iterator[str]:  # noqa: ANN401 - a JSON document's parts
        """Register a subscription over the API, and delete it at the end; see `document` for the parts."""
        id_ = self.subscribe(url, topic, **parts)
        try:
            yield id_
        finally:
            self.unsubscribe(id_)

    def subscribe(self, url: str, topic: str, **parts: Any) -> str:  # noqa: ANN401 - a JSON document's parts
        """Register a subscription over the API; returns its id."""
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=UNAVAILABLE))
            answer = session.post(self._subscriptions, json=document(url, topic, **parts), timeout=ASK_TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def unsubscribe(self, id_: str) -> None:
        """Delete a subscription over the API."""
        requests.delete(f"{self._subscriptions}/{id_}", timeout=ASK_TIMEOUT_S).raise_for_status()

    def subscribe_all(self, wanted: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[str]:
        """Register many subscriptions, each a URL, a topic and parts, several at a time; returns their ids."""
        with ThreadPoolExecutor(CALLS_AT_A_TIME) as pool:
            return list(pool.map(lambda one: self.subscribe(one[0], one[1], **one[2]), wanted))

    def unsubscribe_all(self, ids: Iterable[str]) -> None:
        """Delete many subscriptions, several at a time."""
        with ThreadPoolExecutor(CALLS_AT_A_TIME) as pool:
            list(pool.map(self.unsubscribe, ids))

    @contextmanager
    def policy(self, topic: str, **parts: Any) -> Iterator[None]:  # noqa: ANN401 - a JSON document's parts
        """Store a policy that allows, over the API, and delete it at the end."""
        policies = f"http://{self._api}/1/Policy"
        document = {"topic": topic, "effect": "allow", **parts}
        answer = requests.post(policies, json=document, timeout=ASK_TIMEOUT_S)
        answer.raise_for_status()
        try:
            yield
        finally:
            requests.delete(f"{policies}/{answer.json()['id']}", timeout=ASK_TIMEOUT_S).raise_for_status()

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create topics with these numbers of partitions, and wait until they can be used."""
        create_topics({"bootstrap.servers": self.kafka.address}, partitions)

    def topic_bytes(self, topic: str) -> TopicBytes | None:
        """The bytes of a topic by the brokers' own counters; None when they serve none. Takes about a second."""
        return topic_bytes(self._jmx_ports, topic) if self._jmx_ports else None

    def nginx_requests(self) -> int:
        """How many requests nginx has received, without those for this count."""
        said = requests.get(self.nginx.status_url, timeout=ASK_TIMEOUT_S).text
        self._asked_nginx += 1
        found = NGINX_COUNT.search(said)
        if found is None:
            raise ValueError(f"nginx returned no count: {said}")
        return int(found[1]) - self._asked_nginx

    @property
    def _subscriptions(self) -> str:
        return f"http://{self._api}/1/Subscription"

    def _api_answers(self) -> bool:
        try:
            return requests.get(f"http://{self._api}/ready", timeout=ASK_TIMEOUT_S).ok
        except requests.ConnectionError:
            return False

    def command(self, *arguments: str, log: str = "") -> Child:
        """Start one of webhookd's commands as a process; its output goes to the log of that name."""
        log_file = LOGS / f"{log or arguments[0]}.log"
        return service_commands.start(arguments, log_file=log_file, environment=self.environment)

    def _environment(self, database_url: str) -> Mapping[str, str]:
        variables = service_commands.environment(
            kafka=self.kafka.address, redis_url=self.redis.address, database_url=database_url, api_bind=self._api
        )
        return {**variables, "WEBHOOKD_EGRESS_CA_FILE": str(self.nginx.certificate)}
