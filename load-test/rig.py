"""The rig of a load test: starts and stops Kafka, Redis, Postgres, nginx and the real commands."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import requests
from redis import Redis
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from measure import Roots, Usage, usage
from stack.child import Child, spawn
from stack.free_ports import free_ports
from stack.kafka import KafkaOptions
from stack.service_group import ServiceGroup
from stack.waiting import until_ready

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".state" / "load-test"
"""One log file for each process of the last run; the services' own logs are removed with their data."""

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 45.0
ASK_TIMEOUT_S = 30.0
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
    def pipeline(self, workers: int = 1, threads: int | None = None) -> Iterator["Pipeline"]:
        """Run one ingest and some worker processes; afterwards stop them and empty Redis."""
        pipeline = Pipeline(self.command, workers, threads)
        try:
            yield pipeline
        finally:
            pipeline.stop()
            with Redis.from_url(self.redis.address) as redis:
                redis.flushdb()

    @contextmanager
    def receiver(self, delay_s: float = 0.0) -> Iterator["Receiver"]:
        """A checking receiver; see receive.py."""
        port = free_ports(1)[0]
        script = [
            sys.executable,
            str(ROOT / "load-test" / "receive.py"),
            "--port",
            str(port),
            "--delay-s",
            str(delay_s),
        ]
        child = spawn(script, log_file=LOGS / "receiver.log")
        receiver = Receiver(f"http://127.0.0.1:{port}/", child, port)
        try:
            until_ready("receiver", receiver.answers, [child], START_TIMEOUT_S)
            yield receiver
        finally:
            child.stop()

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
        command = [sys.executable, "-m", "command.main", *arguments]
        return spawn(command, log_file=log_file, environment=self.environment, parent_death_signal=signal.SIGTERM)

    def _environment(self, database_url: str) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": self.kafka.address,
            "WEBHOOKD_API_AUTH": "none",
            "WEBHOOKD_REDIS_URL": self.redis.address,
            "WEBHOOKD_DATABASE_URL": database_url,
            "WEBHOOKD_API_BIND": self._api,
            "WEBHOOKD_EGRESS_ALLOW": '["127.0.0.0/8"]',
            "WEBHOOKD_EGRESS_CA_FILE": str(self.nginx.certificate),
        }


class Pipeline:
    """An ingest process and its workers."""

    def __init__(self, command: Callable[..., Child], workers: int, threads: int | None) -> None:
        self._command = command
        self._threads = () if threads is None else ("--threads", str(threads))
        self.ingest = command("ingest")
        self.workers = [self._start_worker(number) for number in range(workers)]

    def restart_worker(self) -> None:
        """Wait for the end of the first worker and start a new one in its place."""
        self.workers[0].wait()
        self.workers[0] = self._start_worker(0)

    def ensure_workers(self, workers: int) -> None:
        """Start workers until there are at least this many."""
        self.workers += [self._start_worker(number) for number in range(len(self.workers), workers)]

    def stop(self) -> None:
        """Stop all processes."""
        children = [*self.workers, self.ingest]
        for child in children:
            child.send(signal.SIGTERM)
        for child in children:
            child.stop(STOP_TIMEOUT_S)

    def usage(self, services: Roots) -> Usage:
        """The usage of ingest, the workers and the services up to now."""
        ours = {"ingest": [self.ingest.pid], "worker": [worker.pid for worker in self.workers]}
        return usage({**ours, **services})

    def _start_worker(self, number: int) -> Child:
        return self._command("worker", *self._threads, log=f"worker-{number}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running checking receiver."""

    url: str
    child: Child
    port: int

    def report(self) -> dict[str, Any]:
        """Its counts; see receive.py."""
        return self._ask("report")

    def reset(self) -> dict[str, Any]:
        """Its counts, which then restart."""
        return self._ask("reset")

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.report())
        except requests.ConnectionError:
            return False

    def _ask(self, what: str) -> dict[str, Any]:
        answer = requests.get(self.url + what, timeout=ASK_TIMEOUT_S)
        known: dict[str, Any] = answer.json()
        return known


def document(
    url: str,
    topic: str,
    *,
    batch: int = 1,
    filters: Sequence[str] = (),
    start: str = "earliest",
    retry: Mapping[str, Any] | None = None,
    signed: bool = False,
) -> dict[str, Any]:
    """A subscription as the API accepts it; its requests are signed only if `signed`."""
    signing = {"kind": "hmac_sha256" if signed else "none"}
    return {
        "name": f"load test of {topic}",
        "destination": {"kind": "webhook", "webhook": {"url": url, "signing": signing}},
        "source": [{"topic": topic, "jmes_filters": list(filters), "start": start}],
        "configuration": {
            "batching": {"max_batch_size": batch, "max_batch_interval_seconds": 1},
            "retry": dict(retry or {}),
        },
    }
