"""A stack that is already there: webhookd at its API's URL, and its Kafka."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from command.cluster_probe import probe_cluster
from command.kafka_options import connection_of
from stack.errors import ChangeRefused
from webhookd.kafka_properties import KafkaProperties
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_thread import Done
from webhookd_load_test.kafka_access import properties
from webhookd_load_test.run_folder.samples import ProcessSample
from webhookd_load_test.scenario.subscription_api import ApiError, SubscriptionApi
from webhookd_load_test.scenario.target import MOST_REPLICAS


class UnusableTargetError(Exception):
    """A stack that a scenario cannot run against; the message says why."""


class NoActions:
    """Performs nothing: refuse_steps has refused every step before."""

    def perform(self, step: Step) -> Done:
        """Raise ChangeRefused."""
        raise ChangeRefused(f"{step.do}: this stack is not ours")


class RunningStack:
    """webhookd at `api_url`, whose ingest processes read the Kafka of these client properties.

    Nothing of it is started, stopped or killed, and no process is measured. Raises UnusableTargetError when the API
    is not ready or does not accept the key.
    """

    def __init__(self, *, api_url: str, api_key: str, kafka: Mapping[str, str], brokers: int) -> None:
        self.api_url = api_url.rstrip("/")
        self.api_key = api_key
        self.kafka = kafka
        self.own = False
        self.replication_factor = min(brokers, MOST_REPLICAS)
        self._check()

    def start_webhookd(self) -> None:
        """Nothing: it runs."""

    def versions(self) -> dict[str, str]:
        """Where it is: it does not say which version it is."""
        host = urlsplit(self.api_url).netloc.rpartition("@")[2]  # without a password
        return {"stack": f"running at {host}"}

    def processes(self) -> dict[str, ProcessSample]:
        """None: its processes may be on any machine."""
        return {}

    def actions(self, topics: Sequence[str], stopping: threading.Event) -> NoActions:
        """None: what runs elsewhere is neither killed nor scaled."""
        del topics, stopping
        return NoActions()

    def _check(self) -> None:
        with closing(SubscriptionApi(self.api_url, self.api_key, trust_environment=True)) as api:
            try:
                api.check()
            except ApiError as error:
                raise UnusableTargetError(f"--api: {error}") from None


def refuse_steps(steps: Sequence[Step]) -> None:
    """Raise UnusableTargetError for a timeline with steps: what runs elsewhere must not be killed."""
    if steps:
        raise UnusableTargetError(
            f"the scenario has a timeline ({steps[0].do} …), and only a stack of its own can be changed: "
            "leave out --api, or choose a scenario without a timeline"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A stack that is already there, as the options name it."""

    api: str
    key: str
    bootstrap_servers: str
    kafka_config: KafkaProperties
    kafka_config_file: Path | None

    def target(self) -> RunningStack:
        """The stack. Raises UnusableTargetError, KafkaUnavailable, KafkaAuthenticationFailed or UnusableSettings."""
        connection = connection_of(self.bootstrap_servers, self.kafka_config, self.kafka_config_file)
        cluster = probe_cluster(connection)
        return RunningStack(api_url=self.api, api_key=self.key, kafka=properties(connection), brokers=cluster.brokers)
