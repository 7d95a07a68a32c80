"""The subscriptions of a scenario before they are registered: paths, secrets and the documents for the API."""

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.run_folder.facts import RunSubscription
from webhookd_load_test.scenario.scenario_file import NUMBER, Scenario, Subscriptions

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSubscription:
    """One subscription. Its path at the receiver is its own; `secret` is that of its signatures, empty without them."""

    name: str
    path: str
    topics: tuple[str, ...]
    filters: tuple[str, ...]
    secret: str
    group: Subscriptions

    def document(self, receiver_url: str) -> dict[str, Any]:
        """The document for the API, with an endpoint at this URL."""
        signing = {"kind": "hmac_sha256", "secret": self.secret} if self.secret else {"kind": "none"}
        return {
            "name": f"load test: {self.name}",
            "destination": {"webhook": {"url": receiver_url.rstrip("/") + self.path, "signing": signing}},
            "source": [
                {"topic": topic, "jmes_filters": list(self.filters), "start": "latest"} for topic in self.topics
            ],
            "configuration": {
                "batching": {
                    "max_batch_size": self.group.batch,
                    "max_batch_interval_seconds": self.group.batch_interval_s,
                },
                "retry": self.group.retry,
            },
        }

    def registered(self, id_: str) -> RunSubscription:
        """The subscription under the id that the API gave it."""
        return RunSubscription(
            id=id_,
            name=self.name,
            path=self.path,
            topics=list(self.topics),
            filters=list(self.filters),
            batch=self.group.batch,
            faulty=bool(self.group.faults),
        )


def plan(scenario: Scenario, topics: Sequence[str], root: str = "") -> list[PlannedSubscription]:
    """All subscriptions of a scenario, to these topics; their paths begin with `root`."""
    return [one for group in scenario.subscriptions for one in _members(group, tuple(topics), root)]


def faults(scenario: Scenario, root: str = "") -> list[Fault]:
    """The faults of all subscriptions, each for the paths of its own group."""
    groups = scenario.subscriptions
    return [structs.replace(fault, path=f"{root}/{group.name}/") for group in groups for fault in group.faults]


def _members(group: Subscriptions, topics: tuple[str, ...], root: str) -> Iterator[PlannedSubscription]:
    for number in range(group.count):
        yield PlannedSubscription(
            name=f"{group.name}-{number}" if group.count > 1 else group.name,
            path=f"{root}/{group.name}/{number}",
            topics=topics,
            filters=tuple(text.replace(NUMBER, str(number)) for text in group.filters),
            secret=_secret() if group.signed else "",
            group=group,
        )


def _secret() -> str:
    """A new secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
