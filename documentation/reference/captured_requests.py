"""Requests as an endpoint gets them, captured from a real run of webhookd in this process.

Kafka is librdkafka's mock cluster. Each scene has a topic, a subscription and the statuses that the endpoint answers.
What differs in each run, and from one machine to another, is written as something fixed: host, ids, times, signatures.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from pydantic import SecretStr

from command.api_client import ManagementClient
from command.embedded import EmbeddedService
from command.received_request import ShownRequest
from webhookd.settings import Settings
from webhookd.store.secret_keys import generate
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd.testing.mock_cluster import MockCluster

PATIENCE_S: Final = 60.0
RECORD_TIME_MS: Final = 1795487371000
RETRY_TIME_SCALE: Final = 0.02
"""The first retry waits for 0.1 s, the first probe for 0.6 s."""

HOST: Final = "example.com"
FIRST_ID: Final = 0x4853B209EE2F1C428BD1F99EA6605801
MASKED: Final[Mapping[str, str]] = {
    r"(?m)^Host: .*$": f"Host: {HOST}",
    r"(?m)^webhook-timestamp: \d+$": "webhook-timestamp: 1795487371",
    r"\b(v1a?),[A-Za-z0-9+/]+=*": r"\1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""Replacements of what differs in each run; ids are replaced apart, so that equal ones stay equal."""

_ID: Final = re.compile(r"\bmsg_[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as its producer gives it to Kafka."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A subscription to `topic`, all of whose records exist before it; the endpoint answers with `statuses` in turn."""

    topic: str
    records: Sequence[Record]
    statuses: Sequence[int] = (200,)
    webhook: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)


class Endpoint:
    """An endpoint that keeps the requests to each path. It answers with the path's statuses, then with 200."""

    def __init__(self, statuses: Mapping[str, Sequence[int]]) -> None:
        self.requests = {path: SimpleQueue[ShownRequest]() for path in statuses}
        self._left = {path: iter(codes) for path, codes in statuses.items()}
        self._server = HttpEndpoint(self._answer)
        self.url = self._server.url
        self._server.start()

    def stop(self) -> None:
        """Close it."""
        self._server.stop()

    def _answer(self, request: ReceivedRequest) -> Answer:
        shown = ShownRequest(request.method, request.path, request.header_lines, request.body)
        self.requests[request.path].put(shown)
        return Answer(status=next(self._left[request.path], 200))


def captured(scenes: Sequence[Scene]) -> list[list[str]]:
    """Run all scenes at once, and return the requests of each as text. Raises LookupError if one does not come."""
    paths = {f"/{scene.topic}": scene for scene in scenes}
    with _running(paths) as endpoint:
        found = [[_text(_next(endpoint, path)) for _ in scene.statuses] for path, scene in paths.items()]
    return _masked(found)


def _text(request: ShownRequest) -> str:
    first, rest = request.in_full().strip().split("\n", 1)
    return f"{first} HTTP/1.1\n{rest}"


def _next(endpoint: Endpoint, path: str) -> ShownRequest:
    try:
        return endpoint.requests[path].get(timeout=PATIENCE_S)
    except Empty:
        raise LookupError(f"a request to {path} did not come") from None


@contextmanager
def _running(paths: Mapping[str, Scene]) -> Iterator[Endpoint]:
    with ExitStack() as exits:
        folder = exits.enter_context(tempfile.TemporaryDirectory())
        cluster = MockCluster()
        for scene in paths.values():
            _produce(cluster, scene)
        endpoint = Endpoint({path: scene.statuses for path, scene in paths.items()})
        exits.callback(endpoint.stop)
        service = EmbeddedService(_settings(cluster, Path(folder)))
        exits.callback(service.stop, 1.0)
        api = ManagementClient(service.api_url)
        exits.callback(api.close)
        for path, scene in paths.items():
            api.register(_document(scene, endpoint.url + path))
        service.start()
        yield endpoint


def _produce(cluster: MockCluster, scene: Scene) -> None:
    cluster.create_topic(scene.topic)
    for record in scene.records:
        cluster.producer.produce(
            scene.topic,
            record.value,
            record.key,
            partition=0,
            timestamp=RECORD_TIME_MS,
            headers=list(record.headers),
        )
    cluster.producer.flush(PATIENCE_S)


def _document(scene: Scene, url: str) -> dict[str, Any]:
    return {
        "name": scene.topic,
        "destination": {"webhook": {"url": url, **scene.webhook}},
        "source": [{"topic": scene.topic, "start": "earliest"}],
        "configuration": scene.configuration,
    }


def _settings(cluster: MockCluster, folder: Path) -> Settings:
    """The default settings, except for the edges and for what the mock cluster needs (command/demo_environment.py)."""
    return Settings.model_construct(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        kafka_group_protocol="consumer",
        kafka_fetch_wait_s=0.01,
        redis_url="memory://",
        database_url=f"sqlite:///{folder / 'webhookd.db'}",
        secret_keys=SecretStr(generate()),
        egress_allow=("127.0.0.0/8",),
        api_auth="none",
        retry_time_scale=RETRY_TIME_SCALE,
    )


def _masked(found: list[list[str]]) -> list[list[str]]:
    ids = dict.fromkeys(id_ for scene in found for text in scene for id_ in _ID.findall(text))
    numbers = {id_: f"msg_{number:032x}" for number, id_ in enumerate(ids, start=FIRST_ID)}
    return [[_fixed(_ID.sub(lambda match: numbers[match[0]], text)) for text in scene] for scene in found]


def _fixed(text: str) -> str:
    for pattern, replacement in MASKED.items():
        text = re.sub(pattern, replacement, text)
    return text
