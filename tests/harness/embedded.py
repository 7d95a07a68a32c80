"""The embedded service in this process, on a Kafka of the test's choice."""

from collections.abc import Mapping
from pathlib import Path

import requests

from command.api_client import ManagementClient
from command.embedded import EmbeddedService
from tests.harness.databases import create_tables
from tests.harness.secret_keys import KEY
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.settings import Settings


class Embedded:
    """The running service; its state is in `folder`, where another one may have left it."""

    def __init__(self, kafka: KafkaConnection, folder: Path, **settings: object) -> None:
        file = folder / "webhookd.db"
        url = f"sqlite:///{file}"
        if not file.exists():
            create_tables(url)
        self._running = EmbeddedService(
            Settings.model_validate(
                {
                    "kafka_bootstrap_servers": kafka.bootstrap_servers,
                    "kafka_config": kafka.properties,
                    "redis_url": "memory://",
                    "api_auth": "none",
                    "database_url": url,
                    "egress_allow": ("127.0.0.0/8",),
                    "secret_keys": KEY,
                    **settings,
                }
            )
        )
        self.api = ManagementClient(self._running.api_url)
        self._running.start()

    def close(self) -> None:
        """End it."""
        self.api.close()
        self._running.stop(5.0)

    def url(self, path: str) -> str:
        """The URL of a path of the API."""
        return self._running.api_url + path

    def ask(self, path: str, method: str = "GET") -> requests.Response:
        """One request to the API."""
        return requests.request(method, self.url(path), timeout=30)

    @property
    def faults(self) -> Mapping[str, str]:
        """The faults in /health: their texts, by code."""
        return {fault["code"]: fault["detail"] for fault in self.ask("/health").json()["faults"]}
